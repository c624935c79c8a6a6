/** The files of an adapter in PEFT's format: adapter_config.json and adapter_model.safetensors, which PEFT loads unchanged. */
import { showShape } from '../../graph/expression.js'
import { writeSafetensors, type WritableTensor } from '../../checkpoints/safetensors/writeSafetensors.js'
import type { Model } from '../../models/architecture.js'
import { headOf, isBare, type ModelOutputs } from '../../models/modelOutputs.js'
import type { Weights } from '../adapter.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { namesFile, namesText } from '../namesFile.js'
import { emptyPair, padPair, rankOf, type LowRankAdapter, type LowRankPair } from './lowRankAdapter.js'
import { fansInOut, peftConfigText } from './peftConfig.js'
import { peftPrefix } from './tokenRows.js'

/** The names of an adapter's files. */
export const adapterFiles = { config: 'adapter_config.json', weights: 'adapter_model.safetensors', names: namesFile } as const

export { peftPrefix }

/** The contents of an adapter's files. */
export type AdapterContents = { readonly configText: string; readonly weights: Uint8Array; readonly namesText: string }

/** Writes the adapter's files into an existing folder. @throws InputError */
export const saveAdapter = (folder: string, adapter: LowRankAdapter, storage: Storage = nodeFiles): Promise<void> =>
  writeContents(folder, peftFiles(adapter), storage)

/** Each file is written entirely or not at all, the configuration last. @throws InputError */
export const writeContents = async (folder: string, files: AdapterContents, storage: Storage): Promise<void> => {
  await storage.write(joinPath(folder, adapterFiles.weights), files.weights)
  await storage.write(joinPath(folder, adapterFiles.names), files.namesText)
  await storage.write(joinPath(folder, adapterFiles.config), files.configText)
}

/**
 * The contents of the adapter's files. Matrices of rank 0 are left out. If no matrix remains, one becomes a pair of zeros of rank 1, because
 * PEFT refuses an adapter without modules. @throws Error for modules that the encoder lacks, and for shapes that do not fit
 */
export const peftFiles = (adapter: LowRankAdapter): AdapterContents => {
  checkAdapter(adapter)
  const { model, outputs, baseModelName, rank, alpha, rslora = false, dropout = 0, head, labelNames } = adapter
  const kept = keptModules(adapter)
  const path = (name: string) => modulePath(model, outputs, name)
  const tensors = new Map<string, WritableTensor>([
    ...kept.flatMap(([name, { A, B, magnitude }]): readonly (readonly [string, WritableTensor])[] => {
      const keys = pairKeys(`${peftPrefix}${path(name)}`)
      return [[keys.A, A], [keys.B, B], ...(magnitude === undefined ? [] : [[keys.magnitude, magnitude] as const])]
    }),
    ...[...head].map(([name, tensor]): readonly [string, WritableTensor] => [headKey(model, name), tensor]),
    ...(adapter.tokens?.tensors ?? []),
  ])
  return {
    configText: peftConfigText({
      baseModelName,
      outputs,
      rank,
      alpha,
      rslora,
      dora: kept.some(([, { magnitude }]) => magnitude !== undefined),
      dropout,
      modules: kept.map(([name, pair]) => ({ path: path(name), rank: rankOf(pair) })),
      modulesToSave: isBare(model, outputs) ? [] : modulesToSave(head),
      bare: isBare(model, outputs),
      tokenKeys: adapter.tokens?.keys ?? {},
      fanInFanOut: fansInOut(
        model,
        kept.map(([name]) => ({ name })),
      ),
    }),
    weights: writeSafetensors(tensors, { format: 'pt' }),
    namesText: namesText(model, outputs, labelNames),
  }
}

/** A matrix's path in the model that PEFT wraps: without a head, the model is the encoder itself. */
export const modulePath = (model: Model, outputs: ModelOutputs, name: string): string =>
  isBare(model, outputs) ? name : `${model.naming.prefix}${name}`

/** The tensor names of a LoRA pair, given that of its matrix. */
export const pairKeys = (at: string): Readonly<Record<keyof LowRankPair, string>> => ({
  A: `${at}.lora_A.weight`,
  B: `${at}.lora_B.weight`,
  magnitude: `${at}.lora_magnitude_vector`,
})

/** The tensor names of AdaLoRA's triplets, given that of their matrix. */
export const tripletKeys = (at: string) => ({ A: `${at}.lora_A`, B: `${at}.lora_B`, E: `${at}.lora_E` }) as const

/** The name of a head tensor: the classifier is beside the encoder, BERT's pooler inside it. */
export const headKey = ({ naming }: Model, name: string): string => `${peftPrefix}${naming.stored(name)}`

/** The modules that the files have whole. PEFT itself lists 'classifier' and 'score' for a sequence classifier. */
export const modulesToSave = (head: ReadonlyMap<string, Weights>): readonly string[] =>
  head.size === 0 ? [] : [...new Set(['classifier', 'score', ...[...head.keys()].map((name) => name.split('.')[0] ?? '')])]

const partOf = (head: ReadonlyMap<string, Weights>, part: string): boolean => [...head.keys()].some((name) => name.startsWith(part))

/** In layer order, so that the files do not depend on a Map's order. */
const keptModules = ({ model, modules }: LowRankAdapter): readonly (readonly [string, LowRankPair])[] => {
  const all = model.spec.matrices.flatMap(({ name }) => {
    const pair = modules.get(name)
    return pair === undefined ? [] : [[name, pair] as const]
  })
  const kept = all.filter(([, pair]) => rankOf(pair) > 0)
  if (kept.length > 0) return kept
  const candidates = all.length > 0 ? all : model.spec.matrices.map((matrix) => [matrix.name, emptyPair(matrix)] as const)
  return candidates.slice(0, 1).map(([name, pair]) => [name, padPair(pair, 1)] as const)
}

const checkAdapter = ({ model, outputs, rank, modules, head, labelNames }: LowRankAdapter): void => {
  if (!Number.isInteger(rank) || rank < 1) throw new Error(`peftFiles: expected a rank of at least 1, got ${rank}`)
  const sizes = new Map(model.spec.matrices.map((module) => [module.name, module]))
  for (const [name, pair] of modules) {
    const size = sizes.get(name)
    if (size === undefined) throw new Error(`peftFiles: expected a module of the encoder, got ${name}`)
    checkShape(`${name}.A`, pair.A, [rankOf(pair), size.k])
    checkShape(`${name}.B`, pair.B, [size.d, rankOf(pair)])
    if (pair.magnitude !== undefined) checkShape(`${name}.magnitude`, pair.magnitude, [size.d])
  }
  const shapes = headOf(model, outputs).tensors
  for (const [name, tensor] of head) {
    const shape = shapes.get(name)
    if (shape === undefined) throw new Error(`peftFiles: expected a head tensor (${[...shapes.keys()].join(', ')}), got ${name}`)
    checkShape(name, tensor, shape)
  }
  const missing = [...shapes.keys()].find((name) => !head.has(name) && (name.startsWith('classifier.') || partOf(head, 'pooler.')))
  if (head.size > 0 && missing !== undefined) throw new Error(`peftFiles: expected a whole head, got none of ${missing}`)
  const names = labelNames?.length
  if (names !== undefined && names !== outputs.labels) throw new Error(`peftFiles: expected ${outputs.labels} label names, got ${names}`)
}

const checkShape = (name: string, { shape, data }: Weights, expected: readonly number[]): void => {
  if (shape.join() !== expected.join() || data.length !== expected.reduce((a, b) => a * b, 1)) {
    throw new Error(`peftFiles: ${name}: expected ${showShape(expected)}, got ${showShape(shape)} with ${data.length} numbers`)
  }
}
