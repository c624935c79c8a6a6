/**
 * A base whose LoRA matrices and head are inputs of its graph, so that one download serves all its adapters, and the file of such an adapter.
 * Both have PEFT's tensor names: a file's tensors are the graph's inputs. `salora/adapters` (web/adapters/) feeds them.
 */
import { modelDigests } from '../checkpoints/fingerprint.js'
import type { ModelFolder } from '../checkpoints/modelFolder.js'
import type { Feed } from '../engines/feeds.js'
import { inputError } from '../errors/inputError.js'
import { option, words } from '../errors/words.js'
import type { Expression } from '../graph/expression.js'
import { input } from '../graph/operators.js'
import { loraScale, type LoraPhase, type LoraSettings } from '../methods/lora.js'
import type { Method } from '../methods/method.js'
import type { Model } from '../models/architecture.js'
import { outputTensors, selectHead, type ModelOutputs } from '../models/modelOutputs.js'
import { findMethod, resolveSettings } from '../training/resolveSettings.js'
import type { Adapter, Weights } from './adapter.js'
import type { TrainedModel } from './mergedWeights.js'
import { toLowRankAdapter } from './peft/lora.js'
import { emptyPair, headKey, modulePath, padPair, pairKeys, pairRank, peftFile, peftPrefix } from './peft/peft.js'

/** The largest rank of an adapter, unless the user or the adapter needs another. */
export const usualRank = 16

/** The file of the adapter in an export. */
export const adapterFile = 'adapter.safetensors'

/** The key of the base's digest, in the base's config.json and in an adapter's metadata. */
export const baseKey = 'salora_base_sha256'

type Graph = {
  /** the base with an adapter of every matrix, whose tensors are `inputs` */
  readonly trained: TrainedModel
  /** by the names that method and head have for them: A [maxRank, k], B [d, maxRank], and the head's, whose outputs have the dimension `labels` */
  readonly inputs: ReadonlyMap<string, Expression>
}

/** @param lora the adapter as plain LoRA, which only decides which kind of head the graph has @throws InputError for a rank below the adapter's */
export const openAdapterInputs = ({ base }: TrainedModel, { model, outputs, ...rest }: Adapter, maxRank: number): Graph => {
  const factors = model.spec.matrices.flatMap(({ name, d, k }) => {
    const keys = pairKeys(`${peftPrefix}${modulePath(model, outputs, name)}`)
    return [
      [`${name}.A`, input(keys.A, [maxRank, k], 'float32')],
      [`${name}.B`, input(keys.B, [d, maxRank], 'float32')],
    ] as const
  })
  const byLabels = new Set(outputTensors((labels) => selectHead(model, { ...outputs, labels } as ModelOutputs)))
  const head = [...selectHead(model, outputs).tensors].map(([name, shape]) => {
    const inputShape = byLabels.has(name) ? ['labels', ...shape.slice(1)] : shape
    return [name, input(headKey(model, name), inputShape, 'float32')] as const
  })
  const { method, ...ofRank } = wholeLora(model, maxRank)
  const { merge: _, ...asItIs } = method.export
  const noMerge = { ...method, export: asItIs } as Method
  const adapter: Adapter = {
    ...rest,
    model,
    outputs,
    ...ofRank,
    method: noMerge,
    tensors: new Map(),
    head: new Map(),
    labelNames: undefined,
  }
  return { trained: { base, adapter, head: new Map() }, inputs: new Map([...factors, ...head]) }
}

/** LoRA of this rank on every matrix, with a scale of 1. */
const wholeLora = (model: Model, rank: number): Pick<Adapter, 'method' | 'settings' | 'phase'> => {
  const phase: LoraPhase = { matrices: model.spec.matrices.map((matrix) => ({ ...matrix, r: rank })) }
  return { method: findMethod('lora'), settings: { ...resolveSettings({ method: 'lora' }), rank, loraAlpha: rank, loraDropout: 0 }, phase }
}

/** An adapter that changes nothing. */
export const emptyLora = (adapter: Adapter): Adapter => ({
  ...adapter,
  ...wholeLora(adapter.model, 1),
  phase: { matrices: [] },
  tensors: new Map(),
})

/**
 * The same function as LoRA of this rank on every matrix, padded with zeros: such adapters of a base differ in numbers alone, and share its graph. B has
 * the scale. @param factor of the update @throws InputError if a number is not finite then
 */
export const toOneRank = (adapter: Adapter, rank: number, factor = 1): Adapter => {
  const { model, settings } = adapter
  const { modules } = toLowRankAdapter(adapter)
  const scale = factor * loraScale(settings as unknown as LoraSettings)
  const tensors = model.spec.matrices.flatMap((matrix) => {
    const pair = modules.get(matrix.name) ?? emptyPair(matrix)
    const data = pair.B.data.map((x) => x * scale)
    if (!data.every(Number.isFinite)) throw inputError('scale', `finite numbers in ${matrix.name}`, `one that is not, by ${scale}`)
    const { A, B } = padPair({ A: pair.A, B: { ...pair.B, data } }, rank)
    return [
      [`${matrix.name}.A`, A],
      [`${matrix.name}.B`, B],
    ] as const
  })
  return { ...adapter, ...wholeLora(model, rank), tensors: new Map(tensors) }
}

/** At least 1. */
export const largestRank = (adapter: Adapter): number => Math.max(1, ...[...toLowRankAdapter(adapter).modules.values()].map(pairRank))

/** `asked`, or enough for most adapters. @throws InputError if the adapter has a larger rank */
export const chooseMaxRank = (adapter: Adapter, asked: number | null): number => {
  const largest = largestRank(adapter)
  if (asked !== null && asked < largest)
    throw inputError(option('maxRank'), words`at least ${String(largest)}, the adapter's largest rank`, String(asked))
  return asked ?? Math.max(usualRank, largest)
}

/** The inputs of the graph for an adapter, by name. */
export const adapterFeeds = (adapter: Adapter, head: ReadonlyMap<string, Weights>, maxRank: number): Readonly<Record<string, Feed>> => {
  const { model, outputs, tensors } = toOneRank(adapter, maxRank)
  const toKey = (name: string): string =>
    pairKeys(`${peftPrefix}${modulePath(model, outputs, name.slice(0, -2))}`)[name.endsWith('.A') ? 'A' : 'B']
  return Object.fromEntries([
    ...[...tensors].map(([name, weights]) => [toKey(name), weights] as const),
    ...[...head].map(([name, weights]) => [headKey(model, name), weights] as const),
  ])
}

/** The adapter and its whole head as one safetensors file: PEFT's tensors, with the texts of PEFT's other files as metadata. */
export const adapterBytes = async (
  { base, head }: TrainedModel,
  adapter: Adapter,
  labelNames: readonly string[] | undefined,
): Promise<Uint8Array> => peftFile(toLowRankAdapter({ ...adapter, head, labelNames }), { [baseKey]: await digestBase(base) })

/** The outputs in config.json: an adapter brings its own classes, so that the base is the same from any of its adapters. */
export const anyClasses = (outputs: ModelOutputs): ModelOutputs =>
  ({
    ...outputs,
    ...(outputs.labels === 0 ? {} : { labels: 2 }),
    ...(outputs.head === 'sequence' ? { problemType: 'single_label_classification' } : {}),
  }) as ModelOutputs

/** SHA-256 of the base's weights; of several files, each. */
export const digestBase = async (base: ModelFolder): Promise<string> =>
  Object.entries(await modelDigests(base))
    .filter(([name]) => !name.endsWith('.json'))
    .map(([, digest]) => digest)
    .sort()
    .join(' ')
