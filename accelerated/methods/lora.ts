/** LoRA (Hu et al., 2022): ΔW = α / r · B A on the chosen matrices, optionally with rsLoRA's scale or DoRA's magnitudes. */
import { z } from 'zod'
import type { ModelSpec } from '../models/architecture.js'
import { type TensorSource, withBias, type Wrap } from '../models/host.js'
import { SettingsError } from '../errors/expectedErrors.js'
import { settingGroup, type SettingValues } from '../settings/setting.js'
import { buildWeightGroups, findPrecision, type CommonSettings } from '../settings/commonSettings.js'
import { factorStarts, isDataDriven, leavesResidual } from './dataDrivenStarts.js'
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
import { constantInitial, modelInitial } from '../parameters/initialization.js'
import { flatten, viewTensor } from '../parameters/vectors.js'

const loraSettings = {
  ...lowRankSettings,
  ...settingGroup('LoRA options', {
    initLoraWeights: {
      placeholder: 'name',
      description:
        'Initialization of A and B: kaiming or gaussian; for lora also pissa, olora, eva or loftq (an int4 or int8 base), as in PEFT',
      viaSet: true,
      schema: z.enum(['kaiming', 'gaussian', 'pissa', 'olora', 'eva', 'loftq']).default('kaiming'),
    },
    useRslora: { description: 'Scale updates by alpha / √rank instead of alpha / rank (rsLoRA)', schema: z.boolean().default(false) },
    useDora: {
      description: 'Train the length of each weight row separately from its direction (DoRA)',
      schema: z.boolean().default(false),
    },
    loraBias: {
      placeholder: 'name',
      description: 'Also train the biases of adapted matrices: lora_only; or none',
      viaSet: true,
      schema: z.enum(['none', 'lora_only']).default('none'),
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

/**
 * residual: the base has lost the start of B A, which the state keeps (PiSSA, OLoRA); inference and files have plain LoRA of twice the rank instead
 * ranked: ranks are those that EVA finds in the inputs of the matrices
 * biases: names of matrices whose bias is trained in the model's own place
 */
const loraPhase = z.strictObject({
  matrices: matricesSchema,
  start: z.enum(['residual', 'ranked']).optional(),
  biases: z.array(z.string().max(500)).max(100_000).optional(),
})
export type LoraPhase = z.infer<typeof loraPhase>

/** α / r, or with rsLoRA α / √r (Kalajdzievski, 2023). The same for all matrices, also with a rank pattern. */
export const loraScale = ({ loraAlpha, rank, useRslora }: Pick<LoraSettings, 'loraAlpha' | 'rank' | 'useRslora'>): number =>
  loraAlpha / (useRslora ? Math.sqrt(rank) : rank)

export const lora: Method<LoraSettings, LoraPhase> = {
  name: 'lora',
  summary: 'low-rank adaptation at a fixed rank',
  settings: loraSettings,
  check: ({ initLoraWeights: start, useDora, precision }) => {
    if (useDora && isDataDriven(start)) throw new SettingsError('initLoraWeights', 'kaiming, gaussian or eva with DoRA', start)
    if (start === 'loftq' && findPrecision(precision).round === undefined)
      throw new SettingsError('precision', 'int4 or int8 with loftq, which starts from what rounding removes', precision)
  },
  train: {
    tensors: ({ matrices, start, biases = [] }, settings) => {
      const { undecayed } = buildWeightGroups(settings)
      const magnitudes = settings.useDora ? magnitudeTensors(matrices, undecayed) : []
      const inPlace = matrices.flatMap(({ name, d }): readonly Trainable[] =>
        biases.includes(name) ? [{ name: `${name}.bias`, shape: [d], group: undecayed, initial: modelInitial }] : [],
      )
      const factors = withStarts(factorTensors(matrices, settings), matrices, settings)
      const fixed = start !== 'residual' ? [] : factors.map((factor) => ({ ...factor, name: `${factor.name}.start`, group: fixedGroup }))
      return [...factors, ...magnitudes, ...inPlace, ...fixed]
    },
    wrap: ({ matrices, start }, settings, parameter) => {
      const each = <F>(of: (name: string) => F): ReadonlyMap<string, F> => new Map(matrices.map(({ name }) => [name, of(name)]))
      const factors = readFactors(settings, parameter)
      if (start === 'residual') {
        const starts = readFactors(settings, (name) => parameter(`${name}.start`))
        const residual = lowRankWrap(
          each((name) => ({ ...starts(name), scale: -loraScale(settings) })),
          0,
        )
        const adapted = lowRankWrap(each(factors), settings.loraDropout)
        return (host) => adapted(residual(host))
      }
      if (!settings.useDora) return lowRankWrap(each(factors), settings.loraDropout)
      return doraWrap(
        each((name) => ({ ...factors(name), magnitude: parameter(`${name}.magnitude`) })),
        settings.loraDropout,
      )
    },
  },
  phases: {
    schema: loraPhase,
    start: (spec, settings) => {
      const matrices = [...adaptedMatrices(spec, settings)]
      const phase = { matrices, ...(settings.loraBias === 'lora_only' ? { biases: listBiases(matrices, spec) } : {}) }
      if (phase.biases?.length === 0) throw new SettingsError('loraBias', 'none, as no adapted matrix has a bias', 'lora_only')
      if (leavesResidual(settings.initLoraWeights)) return { ...phase, start: 'residual' }
      return settings.initLoraWeights === 'eva' ? { ...phase, start: 'ranked' } : phase
    },
    inference: (phase, _, parameters, { buildLayout, dtype }) => {
      if (phase.start !== 'residual') return { phase, parameters }
      const plain = doubled(phase)
      const [from, to] = [buildLayout(phase), buildLayout(plain)]
      const trained = (name: string): ArrayLike<number> => viewTensor(from, parameters, name)
      const factors = new Map(phase.matrices.flatMap((matrix) => [...plainFactors(matrix, trained)]))
      return { phase: plain, parameters: flatten(to, ({ name }) => factors.get(name) ?? trained(name), dtype) }
    },
    validate: (phase, start) => {
      const fits =
        start.start === 'ranked'
          ? phase.matrices.every(({ name, d, k, r }) =>
              start.matrices.some((m) => m.name === name && m.d === d && m.k === k && r <= Math.min(d, k)),
            ) && start.biases?.join() === phase.biases?.join()
          : [start, ...(start.start === 'residual' ? [doubled(start)] : [])].some((one) => JSON.stringify(one) === JSON.stringify(phase))
      return fits ? null : { expected: 'the adapted matrices of its start', got: `${phase.matrices.length} others` }
    },
  },
  reporting: {
    parameterCounts: ({ matrices, biases = [] }, { useDora }) => ({
      adapter: factorCount(matrices) + (useDora ? rowCount(matrices) : 0) + rowCount(matrices.filter(({ name }) => biases.includes(name))),
    }),
    result: ({ matrices }) => ({ ranks: Object.fromEntries(matrices.map(({ name, r }) => [name, r])) }),
  },
  export: {
    format: 'peftLora',
    merge: ({ matrices, biases = [] }, settings, name, tensor, trained) => {
      if (biases.some((matrix) => name === `${matrix}.bias`)) return trained(name)
      const matrix = findMatrix(matrices, name)
      if (matrix === undefined) return null
      const merged = mergeProduct(tensor(), trained(`${matrix.name}.A`), trained(`${matrix.name}.B`), matrix, loraScale(settings))
      return settings.useDora ? mergeMagnitude(merged, trained(`${matrix.name}.magnitude`), matrix) : merged
    },
  },
}

/** The factors with their initial numbers where these follow from the frozen matrices. */
const withStarts = (tensors: readonly Trainable[], matrices: readonly AdaptedMatrix[], settings: LoraSettings): readonly Trainable[] => {
  const { initLoraWeights: name, precision } = settings
  if (!isDataDriven(name)) return tensors
  const { round = (W) => W } = findPrecision(precision)
  const starts = new Map(matrices.map((matrix) => [matrix.name, factorStarts(name, matrix, loraScale(settings), round)]))
  return tensors.map((tensor) => {
    const start = starts.get(tensor.name.slice(0, -2))
    return start === undefined ? tensor : { ...tensor, initial: start(tensor.name.endsWith('.A') ? 'A' : 'B') }
  })
}

/** Its tensors stay as they are. */
const fixedGroup: OptimizerGroup = {
  name: 'starts',
  adam: null,
  weightDecay: 0,
  direction: 'descent',
  learningRateFeed: 'learningRate',
  learningRateRatio: 0,
  correctionPrefix: 'weight',
  isWeight: false,
  nonNegative: false,
}

/** The phase of plain LoRA that a residual one is equal to. */
const doubled = ({ matrices, start: _, ...rest }: LoraPhase): LoraPhase => ({
  ...rest,
  matrices: matrices.map((matrix) => ({ ...matrix, r: 2 * matrix.r })),
})

/** The matrices that have a bias. */
export const listBiases = (matrices: readonly { readonly name: string }[], { tensors }: Pick<ModelSpec, 'tensors'>): string[] =>
  matrices.flatMap(({ name }) => (tensors.has(`${name}.bias`) ? [name] : []))

/** W − s B₀ A₀ + s B A = W + s [B, −B₀] [A; A₀], as PEFT converts it. A: [2r, k], B: [d, 2r] */
const plainFactors = (
  { name, d, k, r }: AdaptedMatrix,
  trained: (name: string) => ArrayLike<number>,
): ReadonlyMap<string, Float64Array> => {
  const [A, B] = [new Float64Array(2 * r * k), new Float64Array(d * 2 * r)]
  A.set(trained(`${name}.A`))
  A.set(trained(`${name}.A.start`), r * k)
  const [after, before] = [trained(`${name}.B`), trained(`${name}.B.start`)]
  for (let i = 0; i < d * r; i++) {
    const at = i + Math.floor(i / r) * r
    B[at] = after[i] ?? NaN
    B[at + r] = -(before[i] ?? NaN)
  }
  return new Map([
    [`${name}.A`, A],
    [`${name}.B`, B],
  ])
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
const rowCount = (matrices: readonly AdaptedMatrix[]): number => matrices.reduce((sum, { d }) => sum + d, 0)

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
