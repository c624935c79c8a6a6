/** The formats of an export, and which models and precisions each supports. */
import { formatOf } from '../../accelerated/formats/index.js'
import type { OnnxPrecision } from '../../accelerated/formats/onnxWeights.js'
import type { Method } from '../../accelerated/methods/method.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'

export const exportFormats = ['peft', 'peft-padded', 'adapters', 'merged', 'transformers.js'] as const
export type ExportFormat = (typeof exportFormats)[number]

type Supports = (method: Method, kind: ModelSpec['kind'], outputs: ModelOutputs) => boolean

/** By the layout of the method's files and by what merges. transformers.js has no classifier on a decoder, and no cache with virtual tokens. */
const supports: Readonly<Record<ExportFormat, Supports>> = {
  peft: ({ export: { format } }) => format.startsWith('peft'),
  'peft-padded': (method) => formatOf(method).asLora !== undefined,
  adapters: ({ export: { format } }) => format === 'adapters',
  merged: ({ export: { merge } }) => merge !== undefined,
  'transformers.js': ({ train: { virtualTokens } }, kind, { head }) =>
    kind === 'encoder' || (head === 'causal' && virtualTokens === undefined),
}

export const supportedFormats = (...model: Parameters<Supports>): ReadonlyArray<ExportFormat> =>
  exportFormats.filter((format) => supports[format](...model))

/** The precisions of a format, the default first. */
export const precisionsOf = (format: ExportFormat): ReadonlyArray<OnnxPrecision> => {
  if (format === 'merged') return ['float32', 'float16']
  return format === 'transformers.js' ? ['float32', 'float16', 'int8'] : ['float32']
}
