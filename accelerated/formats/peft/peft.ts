/** A low-rank adapter, and the files of an adapter in PEFT's format: adapter_config.json and adapter_model.safetensors, which PEFT loads unchanged. */
import { showShape } from '../../graph/expression.js'
import { transposedMatrix } from '../../checkpoints/safetensors/safetensors.js'
import { writeSafetensors, type WritableTensor } from '../../checkpoints/safetensors/writeSafetensors.js'
import type { Model, Matrix } from '../../models/architecture.js'
import { selectHead, isBare, type ModelOutputs } from '../../models/modelOutputs.js'
import { adaptableMatrices, matrixOf } from '../../models/wordTables.js'
import type { Adapter, Weights } from '../adapter.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { namesFile, namesText } from '../saloraJson.js'
import { fansInOut, peftConfigText } from './peftConfig.js'
import { peftPrefix } from './tokenRows.js'

/** ΔW = scale · B A with A [r_i, k] and B [d, r_i]; r_i = 0 leaves W unchanged. All pairs of an adapter have DoRA's magnitude [d], or none. bias [d]: the matrix's own, trained */
export type LowRankPair = { readonly A: Weights; readonly B: Weights; readonly magnitude?: Weights; readonly bias?: Weights }

/** An adapter after training: every pair has the same scale, whatever its remaining rank. */
export type LowRankAdapter = {
  readonly model: Model
  readonly outputs: ModelOutputs
  /** The hub id or the folder of the frozen model. */
  readonly baseModelName: string
  /** The rank before pruning, which fixes the scale. */
  readonly rank: number
  readonly alpha: number
  /** the scale is alpha / √rank instead of alpha / rank */
  readonly rslora?: boolean
  /** the dropout in training, which is not part of the function and only goes into the configuration */
  readonly dropout?: number
  /** Pairs, or none, by module path without the family's prefix, such as `encoder.layer.0.attention.self.query`. */
  readonly modules: ReadonlyMap<string, LowRankPair>
  /** Trained tensors by canonical name: none, or those of the model's sequence head; BERT's pooler may be missing. */
  readonly head: ReadonlyMap<string, Weights>
  /** rows of tokens, under the names of their tables */
  readonly tokens?: { readonly keys: object; readonly tensors: readonly NamedTensor[] }
  /** what the files have whole of the base model */
  readonly wholeModules?: { readonly modules: readonly string[]; readonly tensors: readonly NamedTensor[] }
  /** Names of the classes in the order of the outputs. */
  readonly labelNames?: readonly string[]
}

/** The remaining rank of a pair: the rows of A. */
export const pairRank = ({ A }: LowRankPair): number => A.shape[0] ?? 0

/** A pair of rank 0, which changes nothing. */
export const emptyPair = ({ d, k }: Pick<Matrix, 'd' | 'k'>): LowRankPair => ({
  A: { shape: [0, k], data: new Float32Array(0) },
  B: { shape: [d, 0], data: new Float32Array(0) },
})

/** The same function with every pair padded to the adapter's rank, for servers that support only one rank. */
export const padToRank = (adapter: LowRankAdapter): LowRankAdapter => ({
  ...adapter,
  modules: new Map([...adapter.modules].map(([name, pair]) => [name, padPair(pair, adapter.rank)])),
})

/** Adds rows of zeros to A and columns of zeros to B up to `rank`; B A stays the same. */
export const padPair = ({ A, B, ...rest }: LowRankPair, rank: number): LowRankPair => {
  const [r = 0, k = 0] = A.shape
  const [d = 0] = B.shape
  if (r > rank) throw new Error(`padPair: expected a rank of at most ${rank}, got ${r}`)
  const a = new Float32Array(rank * k)
  a.set(A.data)
  const b = new Float32Array(d * rank)
  for (let row = 0; row < d; row++) b.set(B.data.subarray(row * r, (row + 1) * r), row * rank)
  return { A: { shape: [rank, k], data: a }, B: { shape: [d, rank], data: b }, ...rest }
}

/** [rows, columns] → [columns, rows] */
export const transposedWeights = ({ shape, data }: Weights): Weights => ({ shape: shape.toReversed(), data: transposedMatrix(data, shape) })

/** The names of an adapter's files. */
export const adapterFiles = { config: 'adapter_config.json', weights: 'adapter_model.safetensors', names: namesFile } as const

export { peftPrefix }

/** The contents of an adapter's files. */
type AdapterContents = { readonly configText: string; readonly weights: Uint8Array; readonly namesText: string }

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
  const { model, outputs, baseModelName, rank, alpha, rslora = false, dropout = 0, head } = adapter
  const kept = remainingModules(adapter)
  return adapterContents(
    adapter,
    listTensors(adapter),
    peftConfigText({
      baseModelName,
      outputs,
      rank,
      alpha,
      rslora,
      dora: kept.some(([, { magnitude }]) => magnitude !== undefined),
      biases: kept.some(([, { bias }]) => bias !== undefined),
      dropout,
      modules: kept.map(([name, pair]) => ({ path: modulePath(model, outputs, name), rank: pairRank(pair) })),
      modulesToSave: [...new Set([...(isBare(model, outputs) ? [] : modulesToSave(head)), ...(adapter.wholeModules?.modules ?? [])])],
      bare: isBare(model, outputs),
      tokenKeys: adapter.tokens?.keys ?? {},
      fanInFanOut: fansInOut(
        model,
        kept.map(([name]) => ({ name })),
      ),
    }),
  )
}

/** One safetensors file, whose metadata has the texts of the other files under their names. @throws as peftFiles does */
export const peftFile = (adapter: LowRankAdapter, metadata: Readonly<Record<string, string>>): Uint8Array => {
  const { configText, namesText } = peftFiles(adapter)
  const texts = { [adapterFiles.config]: configText, [adapterFiles.names]: namesText }
  return writeSafetensors(new Map(listTensors(adapter)), { format: 'pt', ...texts, ...metadata })
}

const listTensors = (adapter: LowRankAdapter): readonly NamedTensor[] => {
  const { model, outputs, head, tokens, wholeModules } = adapter
  const pairs = remainingModules(adapter).flatMap(([name, pair]): readonly NamedTensor[] => {
    const isLookup = name === matrixOf(model.spec.words)
    const keys = pairKeys(`${peftPrefix}${modulePath(model, outputs, name)}`, isLookup)
    const written = (weights: Weights): Weights => (isLookup ? transposedWeights(weights) : weights)
    return pairParts.flatMap((part) => (pair[part] === undefined ? [] : [[keys[part], written(pair[part])] as const]))
  })
  return [...pairs, ...headTensors(model, head), ...(tokens?.tensors ?? []), ...(wholeModules?.tensors ?? [])]
}

type NamedTensor = readonly [key: string, WritableTensor]

/** The trained tensors of the head by key. */
export const headTensors = (model: Model, head: ReadonlyMap<string, Weights>): readonly NamedTensor[] =>
  [...head].map(([name, weights]) => [headKey(model, name), weights])

/** The contents of the files of any method, from its tensors and its configuration. */
export const adapterContents = (
  { model, outputs, labelNames }: Pick<Adapter, 'model' | 'outputs'> & { readonly labelNames?: readonly string[] | undefined },
  tensors: readonly NamedTensor[],
  configText: string,
): AdapterContents => ({
  weights: writeSafetensors(new Map(tensors), { format: 'pt' }),
  namesText: namesText(model, outputs, labelNames),
  configText,
})

/** A matrix's path in the model that PEFT wraps: without a head, the model is the encoder itself. */
export const modulePath = (model: Model, outputs: ModelOutputs, name: string): string =>
  isBare(model, outputs) ? name : matrixOf(model.naming.stored(`${name}.weight`))

/**
 * The tensor names of a LoRA pair, given that of its matrix. @param isLookup whether it is a table of embeddings: PEFT multiplies the other way round,
 * so its A is our B and its B our A, both transposed
 */
export const pairKeys = (at: string, isLookup = false): Readonly<Record<keyof LowRankPair, string>> => ({
  A: isLookup ? `${at}.lora_embedding_B` : `${at}.lora_A.weight`,
  B: isLookup ? `${at}.lora_embedding_A` : `${at}.lora_B.weight`,
  magnitude: `${at}.lora_magnitude_vector`,
  bias: `${at}.base_layer.bias`,
})
export const pairParts = ['A', 'B', 'magnitude', 'bias'] as const satisfies readonly (keyof LowRankPair)[]

/** The tensor names of AdaLoRA's triplets, given that of their matrix. */
export const tripletKeys = (at: string) => ({ A: `${at}.lora_A`, B: `${at}.lora_B`, E: `${at}.lora_E` }) as const

/** The name of a head tensor: the classifier is beside the encoder, BERT's pooler inside it. */
export const headKey = ({ naming }: Model, name: string): string => `${peftPrefix}${naming.stored(name)}`

/** The modules that the files have whole. PEFT itself lists 'classifier' and 'score' for a sequence classifier. */
export const modulesToSave = (head: ReadonlyMap<string, Weights>): readonly string[] =>
  head.size === 0 ? [] : [...new Set(['classifier', 'score', ...[...head.keys()].map((name) => name.split('.')[0] ?? '')])]

const hasPart = (head: ReadonlyMap<string, Weights>, part: string): boolean => [...head.keys()].some((name) => name.startsWith(part))

/** In layer order, so that the files do not depend on a Map's order. */
const remainingModules = ({ model, modules }: LowRankAdapter): readonly (readonly [string, LowRankPair])[] => {
  const all = adaptableMatrices(model).flatMap(({ name }) => {
    const pair = modules.get(name)
    return pair === undefined ? [] : [[name, pair] as const]
  })
  const kept = all.filter(([, pair]) => pairRank(pair) > 0)
  if (kept.length > 0) return kept
  const candidates = all.length > 0 ? all : model.spec.matrices.map((matrix) => [matrix.name, emptyPair(matrix)] as const)
  return candidates.slice(0, 1).map(([name, pair]) => [name, padPair(pair, 1)] as const)
}

const checkAdapter = ({ model, outputs, rank, modules, head, labelNames }: LowRankAdapter): void => {
  if (!Number.isInteger(rank) || rank < 1) throw new Error(`peftFiles: expected a rank of at least 1, got ${rank}`)
  const sizes = new Map(adaptableMatrices(model).map((module) => [module.name, module]))
  for (const [name, pair] of modules) {
    const size = sizes.get(name)
    if (size === undefined) throw new Error(`peftFiles: expected a module of the encoder, got ${name}`)
    checkShape(`${name}.A`, pair.A, [pairRank(pair), size.k])
    checkShape(`${name}.B`, pair.B, [size.d, pairRank(pair)])
    if (pair.magnitude !== undefined) checkShape(`${name}.magnitude`, pair.magnitude, [size.d])
  }
  const shapes = selectHead(model, outputs).tensors
  for (const [name, tensor] of head) {
    const shape = shapes.get(name)
    if (shape === undefined) throw new Error(`peftFiles: expected a head tensor (${[...shapes.keys()].join(', ')}), got ${name}`)
    checkShape(name, tensor, shape)
  }
  const missing = [...shapes.keys()].find((name) => !head.has(name) && (name.startsWith('classifier.') || hasPart(head, 'pooler.')))
  if (head.size > 0 && missing !== undefined) throw new Error(`peftFiles: expected a whole head, got none of ${missing}`)
  const names = labelNames?.length
  if (names !== undefined && names !== outputs.labels) throw new Error(`peftFiles: expected ${outputs.labels} label names, got ${names}`)
}

const checkShape = (name: string, { shape, data }: Weights, expected: readonly number[]): void => {
  if (shape.join() !== expected.join() || data.length !== expected.reduce((a, b) => a * b, 1)) {
    throw new Error(`peftFiles: ${name}: expected ${showShape(expected)}, got ${showShape(shape)} with ${data.length} numbers`)
  }
}
