/** The formats of an export, and which models and precisions each supports. */
import type { Adapter } from '../../accelerated/formats/adapter.js'
import { findLlamaCppObstacle, notForLlamaCpp } from '../../accelerated/formats/gguf/ggufAdapter.js'
import { findFormat } from '../../accelerated/formats/index.js'
import { notForPadded } from '../../accelerated/formats/peft/lora.js'
import type { OnnxPrecision } from '../../accelerated/formats/onnxWeights.js'

export const exportFormats = ['peft', 'peft-padded', 'peft-file', 'adapters', 'merged', 'transformers.js', 'gguf', 'gguf-merged'] as const
export type ExportFormat = (typeof exportFormats)[number]

type Supports = (adapter: Adapter) => boolean

/** By the layout of the method's files and by what merges. transformers.js has no classifier on a decoder, and no cache with virtual tokens. */
const supports: Readonly<Record<ExportFormat, Supports>> = {
  peft: ({ method }) => method.export.format.startsWith('peft'),
  'peft-padded': (adapter) => notPadded(adapter) === null,
  'peft-file': (adapter) => notPadded(adapter) === null && supports['transformers.js'](adapter),
  adapters: ({ method }) => method.export.format === 'adapters',
  merged: ({ method }) => method.export.merge !== undefined,
  'transformers.js': ({ method, model, outputs }) =>
    model.spec.kind === 'encoder' || (outputs.head === 'causal' && method.train.virtualTokens === undefined),
  gguf: (adapter) => notForLlamaCpp(adapter, asLora(adapter)) === null,
  'gguf-merged': (adapter) => adapter.method.export.merge !== undefined && findLlamaCppObstacle(adapter) === null,
}

/** The same function as plain LoRA; undefined if there is none. */
export const asLora = (adapter: Adapter): Adapter | undefined => findFormat(adapter.method).asLora?.(adapter)

export const supportedFormats = (adapter: Adapter): readonly ExportFormat[] => exportFormats.filter((format) => supports[format](adapter))

/** What one rank does not hold; undefined for an adapter that is no LoRA at all. */
const notPadded = (adapter: Adapter): string | null | undefined => {
  const lora = asLora(adapter)
  return lora === undefined ? undefined : notForPadded(lora)
}

const reasons: Readonly<Partial<Record<ExportFormat, (adapter: Adapter) => string | null | undefined>>> = {
  'peft-padded': notPadded,
  'peft-file': notPadded,
  gguf: (adapter) => notForLlamaCpp(adapter, asLora(adapter)),
  'gguf-merged': findLlamaCppObstacle,
}

/** Why a format does not hold an adapter, as `an adapter of …`. */
export const unsupported = (adapter: Adapter, format: ExportFormat): string => {
  const why = reasons[format]?.(adapter) ?? null
  const { kind } = adapter.model.spec
  return why ?? `an adapter of method ${adapter.method.name}${kind === 'encoder' ? '' : ` on a ${kind}`}`
}

/** The precisions of a format, the default first. */
export const listPrecisions = (format: ExportFormat): readonly OnnxPrecision[] => {
  if (format === 'merged' || format === 'gguf') return ['float32', 'float16']
  return format === 'transformers.js' || format === 'gguf-merged' ? ['float32', 'float16', 'int8'] : ['float32']
}
