/** The reference's tensors by name as the accelerated path's flat vectors and feeds, and back to names. */
import type { TensorSource } from '../../accelerated/models/encoder.js'
import type { Feeds } from '../../accelerated/runtime/feeds.js'
import { floatFeed, scalarFeed } from '../../accelerated/runtime/feeds.js'
import type { Expression } from '../../accelerated/graph/expression.js'
import { constant } from '../../accelerated/graph/operators.js'
import { dropoutSites } from '../../accelerated/models/encoder.js'
import { headDropoutSites } from '../../accelerated/models/heads.js'
import type { DropoutPlan } from '../../accelerated/models/layers/dropout.js'
import { poolName, pooledDropout } from '../../accelerated/models/layers/dropout.js'
import type { ParameterLayout, Vector } from '../../accelerated/training/parameterVector.js'
import { flatten, tensorOf } from '../../accelerated/training/parameterVector.js'
import type { AdaptedModule } from '../../accelerated/methods/salora/salora.js'
import type { LabelledExample } from '../../accelerated/training/trainFeeds.js'
import type { Scalar } from '../../accelerated/training/trainingStep.js'
import { named, type Batch, type EncoderConfig, type Noise, type Parameters, type Tensors } from '../../reference/index.js'
import type { Numbers } from './rows.js'

/** Frozen tensors written into the graph: these models are a few thousand numbers. */
export const constants = (base: Tensors, dtype: Scalar): TensorSource => {
  const known = new Map<string, Expression>()
  return (name) => {
    const { shape, data } = named(base, name)
    const expression = known.get(name) ?? constant(data, shape, dtype)
    known.set(name, expression)
    return expression
  }
}

/** Every trained tensor, or its gradient or moments, by name; Θ is one tensor, matrix by matrix. Θ and λ only where `gated`. */
export const namedNumbers = ({ adapters, head, lambda }: Parameters, gated: boolean): ReadonlyMap<string, Numbers> =>
  new Map<string, Numbers>([
    ...Object.entries(adapters).flatMap(
      ([module, { A, B }]): ReadonlyArray<[string, Numbers]> => [
        [`${module}.A`, A.data],
        [`${module}.B`, B.data],
      ],
    ),
    ...Object.entries(head).map(([name, { data }]): [string, Numbers] => [name, data]),
    ...(gated
      ? ([
          ['logTheta', Object.values(adapters).flatMap(({ logTheta }) => [...logTheta.data])],
          ['lambda', [lambda]],
        ] as const)
      : []),
  ])

/** The same of a flat vector. */
export const namedParts = (layout: ParameterLayout, vector: Vector): ReadonlyMap<string, Numbers> =>
  new Map(layout.entries.map(({ name }) => [name, tensorOf(layout, vector, name)]))

/** [gates], matrix by matrix. */
export const gateVector = (modules: ReadonlyArray<AdaptedModule>, byModule: Tensors): ReadonlyArray<number> =>
  modules.flatMap(({ name }) => [...named(byModule, name).data])

export const toVector = (layout: ParameterLayout, parameters: Parameters, dtype: Scalar): Vector => {
  const numbers = namedNumbers(parameters, true)
  return flatten(layout, ({ name }) => numbers.get(name), dtype)
}

export const toExamples = ({ inputIds, tokenTypeIds, labels }: Batch): ReadonlyArray<LabelledExample> =>
  inputIds.map((ids, i) => ({ inputIds: ids, tokenTypeIds: tokenTypeIds?.[i], label: labels[i] ?? NaN, row: i + 1 }))

const sitesOf = (config: EncoderConfig): ReadonlyArray<string> => [...dropoutSites(config), ...headDropoutSites(config)]

/** Dropout at the one probability that these models have everywhere. */
export const dropoutOf = (config: EncoderConfig, dtype: Scalar): DropoutPlan =>
  pooledDropout(sitesOf(config), () => config.hiddenDropout, dtype)

/** The masks one after another as the pool, and where each begins. */
export const dropoutFeeds = (config: EncoderConfig, masks: Noise['dropout'], dtype: Scalar): Feeds => {
  if (config.hiddenDropout === 0) return {}
  const parts = sitesOf(config).map((site) => named(masks, site).data)
  const offsets = parts.map((_, i) => parts.slice(0, i).reduce((sum, { length }) => sum + length, 0))
  const pool = parts.flatMap((part) => [...part])
  return {
    [poolName(config.hiddenDropout)]: floatFeed(pool, [pool.length], dtype),
    dropoutOffsets: { data: BigInt64Array.from(offsets, BigInt), shape: [offsets.length] },
  }
}

/** η and 1 − βᵗ. @param step of W, from 1 @param gatedStep of Θ and λ, from 1 */
export const scalarFeeds = (
  rates: Readonly<Record<'learningRate' | 'controlLearningRate' | 'multiplierLearningRate' | 'targetDensity', number>>,
  adam: { readonly beta1: number; readonly beta2: number; readonly gateAdam: { readonly beta1: number; readonly beta2: number } },
  step: number,
  gatedStep: number,
  dtype: Scalar,
): Feeds => {
  const scalars = {
    ...rates,
    correction1: 1 - adam.beta1 ** step,
    correction2: 1 - adam.beta2 ** step,
    gateCorrection1: 1 - adam.gateAdam.beta1 ** gatedStep,
    gateCorrection2: 1 - adam.gateAdam.beta2 ** gatedStep,
    multiplierCorrection1: 1 - adam.beta1 ** gatedStep,
    multiplierCorrection2: 1 - adam.beta2 ** gatedStep,
  }
  return Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, scalarFeed(value, dtype)]))
}
