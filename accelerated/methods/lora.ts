/** LoRA (Hu et al., 2022): ΔW = α / r · B A on the chosen matrices, optionally with rsLoRA's scale or DoRA's magnitudes. */
import { z } from 'zod'
import { type TensorSource, withBias, type Wrap } from '../models/host.js'
import { settingGroup, type SettingValues } from '../settings/setting.js'
import { buildWeightGroups, type CommonSettings } from '../settings/commonSettings.js'
import {
  adaptedMatrices,
  factorCount,
  factorTensors,
  lowRankWrap,
  matricesSchema,
  findMatrix,
  mergeProduct,
  type LowRankFactors,
  addLowRank,
  type AdaptedMatrix,
} from './lowRank.js'
import { largestRank, lowRankSettings } from './lowRankSettings.js'
import type { Method } from './method.js'
import type { Expression } from '../graph/expression.js'
import { add, div, matMul, mul, reduceSum, sqrt, square, stopGradient, sub } from '../graph/operators.js'
import type { OptimizerGroup } from '../parameters/optimizerGroup.js'
import type { Trainable } from '../parameters/layout.js'
import { constantInitial } from '../parameters/initialization.js'

const loraSettings = {
  ...lowRankSettings,
  ...settingGroup('LoRA options', {
    useRslora: { description: 'Scale updates by alpha / √rank instead of alpha / rank (rsLoRA)', schema: z.boolean().default(false) },
    useDora: {
      description: 'Train the length of each weight row separately from its direction (DoRA)',
      schema: z.boolean().default(false),
    },
    rankPattern: {
      placeholder: 'file',
      description: 'JSON file of ranks by matrix, as salora rank-pattern prints them; rank 0 skips a matrix',
      defaultText: 'the same rank everywhere',
      schema: z.record(z.string().min(1), z.int().min(0).max(largestRank)).nullable().default(null),
    },
  }),
}

export type LoraSettings = SettingValues<typeof loraSettings> & CommonSettings

const loraPhase = z.strictObject({ matrices: matricesSchema })
export type LoraPhase = z.infer<typeof loraPhase>

/** α / r, or with rsLoRA α / √r (Kalajdzievski, 2023). The same for all matrices, also with a rank pattern. */
export const loraScale = ({ loraAlpha, rank, useRslora }: Pick<LoraSettings, 'loraAlpha' | 'rank' | 'useRslora'>): number =>
  loraAlpha / (useRslora ? Math.sqrt(rank) : rank)

export const lora: Method<LoraSettings, LoraPhase> = {
  name: 'lora',
  summary: 'low-rank adaptation at a fixed rank',
  settings: loraSettings,
  train: {
    tensors: ({ matrices }, settings) => {
      const magnitudes = settings.useDora ? magnitudeTensors(matrices, buildWeightGroups(settings).undecayed) : []
      return [...factorTensors(matrices, settings), ...magnitudes]
    },
    wrap: ({ matrices }, settings, parameter) => {
      const each = <F>(of: (name: string) => F): ReadonlyMap<string, F> => new Map(matrices.map(({ name }) => [name, of(name)]))
      const factors = readFactors(settings, parameter)
      if (!settings.useDora) return lowRankWrap(each(factors), settings.loraDropout)
      return doraWrap(
        each((name) => ({ ...factors(name), magnitude: parameter(`${name}.magnitude`) })),
        settings.loraDropout,
      )
    },
  },
  phases: {
    schema: loraPhase,
    start: (spec, settings) => ({ matrices: [...adaptedMatrices(spec, settings)] }),
    validate: ({ matrices }, start) =>
      JSON.stringify(matrices) === JSON.stringify(start.matrices)
        ? null
        : { expected: 'the adapted matrices of its start', got: `${matrices.length} others` },
  },
  reporting: {
    parameterCounts: ({ matrices }, { useDora }) => ({ adapter: factorCount(matrices) + (useDora ? magnitudeCount(matrices) : 0) }),
    result: ({ matrices }) => ({ ranks: Object.fromEntries(matrices.map(({ name, r }) => [name, r])) }),
  },
  export: {
    format: 'peftLora',
    merge: ({ matrices }, settings, name, tensor, trained) => {
      const matrix = findMatrix(matrices, name)
      if (matrix === undefined) return null
      const merged = mergeProduct(tensor(), trained(`${matrix.name}.A`), trained(`${matrix.name}.B`), matrix, loraScale(settings))
      return settings.useDora ? mergeMagnitude(merged, trained(`${matrix.name}.magnitude`), matrix) : merged
    },
  },
}

const readFactors =
  (settings: LoraSettings, parameter: TensorSource) =>
  (name: string): LowRankFactors => ({ A: parameter(`${name}.A`), B: parameter(`${name}.B`), g: null, scale: loraScale(settings) })

// DoRA (Liu et al., 2024): W + s B A gives each row of a matrix only its direction. The row's length, its magnitude m, is trained separately.
/** magnitude: [d] */
type DoraFactors = LowRankFactors & { readonly magnitude: Expression }

/** ‖W + s B A‖ of each row. Gradients treat it as a constant (section 4.3), so the backward pass stores nothing of its size. W: [d, k] → [d] */
const lengths = (W: Expression, { A, B, scale }: LowRankFactors): Expression =>
  stopGradient(sqrt(reduceSum(square(add(W, matMul(B, A, { alpha: scale }))), [1])))

/**
 * Equation (5) of the DoRA paper: h = b + c ⊙ (W x + s B A x) with c = m / ‖W + s B A‖. With dropout x → x′, the model's own W x keeps x:
 * h = b + W x + (c − 1) ⊙ W x′ + c ⊙ s B A x′.
 */
const doraWrap =
  (factors: ReadonlyMap<string, DoraFactors>, dropout: number): Wrap =>
  (host) => ({
    ...host,
    linear: (name, x) => {
      const adapter = factors.get(name)
      const wx = host.linear(name, x)
      if (adapter === undefined) return wx
      const c = div(adapter.magnitude, lengths(host.tensor(`${name}.weight`), adapter)) // [d]
      const bias = host.bias(name)
      const keptBias = bias === null ? null : mul(sub(1, c), bias) // host.linear has already added b, which c must not scale
      const scaled = (wx: Expression, x: Expression): Expression => withBias(mul(addLowRank(wx, x, adapter), c), keptBias)
      if (dropout === 0) return scaled(wx, x)
      const dropped = host.dropout(`${name}.lora`, x, dropout)
      const wDropped = host.linear(name, dropped)
      return add(scaled(wDropped, dropped), sub(wx, wDropped))
    },
  })

/** Magnitudes start at ‖W‖ = ‖W + s B A‖, since B = 0: the adapted model starts as the base model. */
const magnitudeTensors = (matrices: readonly AdaptedMatrix[], group: OptimizerGroup): readonly Trainable[] =>
  matrices.map(({ name, d, k }) => ({
    name: `${name}.magnitude`,
    shape: [d],
    group,
    initial: {
      fromCheckpoint: async (_, checkpoint) => {
        const W = await checkpoint(`${name}.weight`, [d, k])
        return W === undefined ? undefined : rowLengths(W, { d, k })
      },
      draw: constantInitial(1).draw,
    },
  }))

/** Σ dᵢ */
const magnitudeCount = (matrices: readonly AdaptedMatrix[]): number => matrices.reduce((sum, { d }) => sum + d, 0)

type Size = Pick<AdaptedMatrix, 'd' | 'k'>

const rowLengths = (W: ArrayLike<number>, { d, k }: Size): Float64Array =>
  Float64Array.from({ length: d }, (_, row) => {
    let sum = 0
    for (let i = row * k; i < (row + 1) * k; i++) sum += (W[i] ?? 0) ** 2
    return Math.sqrt(sum)
  })

/** m / ‖W + s B A‖ ⊙ (W + s B A). merged: W + s B A, [d, k] → [d, k] */
const mergeMagnitude = (merged: Float64Array, magnitude: ArrayLike<number>, size: Size): Float64Array => {
  const norms = rowLengths(merged, size)
  return merged.map((x, i) => {
    const row = Math.floor(i / size.k)
    return (x * (magnitude[row] ?? NaN)) / (norms[row] ?? NaN)
  })
}
