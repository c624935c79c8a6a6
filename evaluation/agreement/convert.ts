/** The reference's tensors by name as the accelerated path's flat vectors and feeds, and back to names. */
import type { Expression, FloatType } from '../../accelerated/graph/expression.js'
import { constant } from '../../accelerated/graph/operators.js'
import { blockSize, dequantize, fourBitDequantize } from '../../accelerated/graph/quantizedOperators.js'
import type { AdaptedMatrix } from '../../accelerated/methods/lowRank.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import type { SequenceOutputs } from '../../accelerated/models/modelOutputs.js'
import type { TensorSource } from '../../accelerated/models/host.js'
import { offsetName, poolName, type DropoutSite } from '../../accelerated/models/layers/dropout.js'
import type { TextExample } from '../../accelerated/objectives/causalLM.js'
import type { LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import type { TaggedExample } from '../../finetuning/tasks/tokenClassification/objective.js'
import { hasFourBits, fourBits } from '../../accelerated/precisions/int4/int4.js'
import { rowLevels, rowScales, transposeLevels } from '../../accelerated/precisions/int8/quantize.js'
import { halved } from '../../accelerated/precisions/mixed.js'
import type { Precision } from '../../accelerated/precisions/precision.js'
import { type Feeds, floatFeed, scalarFeed } from '../../accelerated/engines/feeds.js'
import { correctionNames } from '../../accelerated/parameters/optimizerGroup.js'
import type { ParameterLayout } from '../../accelerated/parameters/layout.js'
import { type Vector, flatten, viewTensor } from '../../accelerated/parameters/vectors.js'
import { named, type Batch, type EncoderConfig, type Noise, type Parameters, type Tensor, type Tensors } from '../../reference/index.js'
import type { Numbers } from './rows.js'

/** The head of the reference's encoder: classes, or a number. */
export const headOutputs = ({ labels, taskType }: EncoderConfig): Pick<SequenceOutputs, 'labels' | 'problemType'> => ({
  labels,
  problemType: taskType === 'regression' ? 'regression' : 'single_label_classification',
})

/** Frozen tensors written into the graph: these models are a few thousand numbers. */
export const constants = (base: Tensors, dtype: FloatType): TensorSource => {
  const constants = new Map<string, Expression>()
  return (name) => {
    const { shape, data } = named(base, name)
    const expression = constants.get(name) ?? constant(data, shape, dtype)
    constants.set(name, expression)
    return expression
  }
}

/** Frozen tensors in a precision. Matrices of layers are levels and scales in int8 and int4, and rounded to float16 in mixed. */
export const frozenTensors = (
  base: Tensors,
  { matrices }: Pick<ModelSpec, 'matrices'>,
  { name: precision, dtype }: Precision,
): TensorSource => {
  const plain = constants(base, dtype)
  if (precision === dtype) return plain
  if (precision === 'mixed') return halved({ matrices }, plain)
  if (precision !== 'int8' && precision !== 'int4')
    throw new Error(`frozenTensors: expected a floating point, int8, int4 or mixed, got ${precision}`)
  const toConstant = (W: Tensor): Expression => (precision === 'int4' && hasFourBits(W.shape) ? fourBitConstant(W) : quantizedConstant(W))
  const quantized = new Map(matrices.map(({ name }) => [`${name}.weight`, toConstant(named(base, `${name}.weight`))]))
  return (name) => quantized.get(name) ?? plain(name)
}

const quantizedConstant = ({ shape, data }: Tensor): Expression => {
  const [W, [rows = 0, columns = 0]] = [Float32Array.from(data), shape]
  const scales = rowScales(W, shape)
  const levels = rowLevels(W, scales)
  return dequantize({
    levels: constant(levels, [rows, columns], 'int8'),
    transposed: constant(transposeLevels(levels, shape), [columns, rows], 'int8'),
    scales: constant(scales, [rows], 'float32'),
  })
}

const fourBitConstant = ({ shape, data }: Tensor): Expression => {
  const [rows = 0, columns = 0] = shape
  const { levels, blockScales, scales } = fourBits(Float32Array.from(data), shape)
  const blocks = Math.ceil(columns / blockSize)
  return fourBitDequantize({
    levels: constant(
      [...levels].flatMap((two) => [two & 15, two >> 4]),
      [rows, blocks, blockSize],
      'uint4',
    ),
    blockScales: constant(blockScales, [rows, blocks], 'uint8'),
    scales: constant(scales, [rows], 'float32'),
    columns,
  })
}

/** Every trained tensor, or its gradient or moments, by name; Θ is one tensor, matrix by matrix. Θ and λ only where `gated`. */
export const namedNumbers = ({ adapters, head, lambda }: Parameters, gated: boolean): ReadonlyMap<string, Numbers> =>
  new Map<string, Numbers>([
    ...Object.entries(adapters).flatMap(([module, { A, B }]): readonly [string, Numbers][] => [
      [`${module}.A`, A.data],
      [`${module}.B`, B.data],
    ]),
    ...Object.entries(head).map(([name, { data }]): [string, Numbers] => [name, data]),
    ...(gated
      ? ([
          ['logTheta', Object.values(adapters).flatMap(({ logTheta }) => [...logTheta.data])],
          ['lambda', [lambda]],
        ] as const)
      : []),
  ])

/** Every tensor of a flat vector, by name. */
export const namedParts = (layout: ParameterLayout, vector: Vector): ReadonlyMap<string, Numbers> =>
  new Map(layout.entries.map(({ name }) => [name, viewTensor(layout, vector, name)]))

/** [gates], matrix by matrix. */
export const gateVector = (modules: readonly Pick<AdaptedMatrix, 'name'>[], byModule: Tensors): readonly number[] =>
  modules.flatMap(({ name }) => [...named(byModule, name).data])

export const toVector = (layout: ParameterLayout, parameters: Parameters, dtype: FloatType): Vector => {
  const numbers = namedNumbers(parameters, true)
  return flatten(layout, ({ name }) => numbers.get(name), dtype)
}

/** Texts of a language model: the labels are one a token. */
export const toTexts = ({ inputIds, labels }: Batch): readonly TextExample[] =>
  inputIds.map((ids, i) => {
    const before = inputIds.slice(0, i).reduce((total, { length }) => total + length, 0)
    return { inputIds: ids, targets: labels.slice(before, before + ids.length), row: i + 1 }
  })

/** Texts whose tokens are classified: the labels are one a token. */
export const toTaggedExamples = (batch: Batch): readonly TaggedExample[] =>
  toTexts(batch).map((text, i) => ({ ...text, tokenTypeIds: batch.tokenTypeIds?.[i], places: [] }))

export const toExamples = ({ inputIds, tokenTypeIds, labels }: Batch): readonly LabeledExample[] =>
  inputIds.map((ids, i) => ({ inputIds: ids, tokenTypeIds: tokenTypeIds?.[i], label: labels[i] ?? NaN, row: i + 1 }))

/** The reference's masks one after another as the pool, and where each begins. All sites have one probability. */
export const dropoutFeeds = (sites: readonly DropoutSite[], masks: Noise['dropout'], dtype: FloatType): Feeds => {
  const parts = sites.map(({ site }) => [...named(masks, site).data])
  const pool = parts.flat()
  let start = 0
  const offsets = sites.map(({ site }, i) => {
    const at = start
    start += parts[i]?.length ?? 0
    return [offsetName(site), { data: BigInt64Array.of(BigInt(at)), shape: [1] }] as const
  })
  return {
    ...Object.fromEntries(offsets),
    ...(sites[0] === undefined ? {} : { [poolName(sites[0].probability)]: floatFeed(pool, [pool.length], dtype) }),
  }
}

/** η and 1 − βᵗ. @param step of W, from 1 @param gatedStep of Θ and λ, from 1 */
export const scalarFeeds = (
  rates: Readonly<Record<'learningRate' | 'controlLearningRate' | 'multiplierLearningRate' | 'targetDensity', number>>,
  adam: { readonly beta1: number; readonly beta2: number; readonly gateAdam: { readonly beta1: number; readonly beta2: number } },
  step: number,
  gatedStep: number,
  dtype: FloatType,
): Feeds => {
  const corrections = (counter: string, { beta1, beta2 }: { readonly beta1: number; readonly beta2: number }, t: number) => {
    const [first, second] = correctionNames(counter)
    return { [first]: 1 - beta1 ** t, [second]: 1 - beta2 ** t }
  }
  const scalars: Readonly<Record<string, number>> = {
    ...rates,
    ...corrections('weight', adam, step),
    ...corrections('gate', adam.gateAdam, gatedStep),
    ...corrections('multiplier', adam, gatedStep),
  }
  return Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, scalarFeed(value, dtype)]))
}
