/** EVA (Paischer et al., 2024): A starts as the principal directions of each matrix's inputs, and matrices whose inputs they explain best get the ranks. PEFT's algorithm and defaults. */
import type { Expression } from '../../accelerated/graph/expression.js'
import type { LoraPhase } from '../../accelerated/methods/lora.js'
import type { AdaptedMatrix } from '../../accelerated/methods/lowRank.js'
import type { Wrap } from '../../accelerated/models/host.js'
import type { Examples } from '../../accelerated/models/packing.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { leadingTriplets } from '../../accelerated/parameters/leadingTriplets.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { flatten, viewTensor, zeros } from '../../accelerated/parameters/vectors.js'
import { buildLayout } from '../../accelerated/training/assembly.js'
import { inBatches, stepBatches } from '../../accelerated/training/batchOrder.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import type { Runtime } from '../../accelerated/training/phaseSessions.js'
import { SettingsError } from '../../accelerated/errors/expectedErrors.js'
import type { RunAssembly } from './runResult.js'

/** PEFT's ρ: a matrix gets at most this many times its rank. */
const mostRanks = 2
/** PEFT's τ: a direction has converged when one more batch turns it by less than this cosine allows. */
const convergedCosine = 0.99
/** PEFT has no bound. */
const mostBatches = 100
/** Inputs of one batch in memory: 256 MB. */
const mostNumbers = 2 ** 26

/** Inputs of one batch, by matrix: [tokens, k]. Matrices with the same input share the array. */
export type MatrixInputs = ReadonlyMap<string, ArrayLike<number>>

/** Principal components so far, each in a row of `directions`. */
type Components = {
  readonly samples: number
  readonly mean: Float64Array
  /** Σ ‖x − mean‖² */
  readonly variance: number
  readonly sigma: Float64Array
  readonly directions: Float64Array
  readonly isConverged: readonly boolean[]
}

/** Adds a batch: the components of [σ V; X − its mean; the way between the means] (Ross et al., 2008). X: [tokens, k] */
const addBatch = (before: Components | null, X: ArrayLike<number>, k: number, count: number): Components | null => {
  const rows = X.length / k
  if (rows < count) return before
  const batchMean = new Float64Array(k)
  for (let i = 0; i < X.length; i++) batchMean[i % k]! += (X[i] ?? NaN) / rows
  const kept = before?.sigma.length ?? 0
  const stacked = new Float64Array((kept + rows + (before === null ? 0 : 1)) * k)
  let variance = before?.variance ?? 0
  before?.directions.forEach((x, i) => {
    stacked[i] = (before.sigma[Math.floor(i / k)] ?? NaN) * x
  })
  for (let i = 0; i < X.length; i++) {
    const x = (X[i] ?? NaN) - batchMean[i % k]!
    stacked[kept * k + i] = x
    variance += x * x
  }
  const samples = (before?.samples ?? 0) + rows
  if (before !== null) {
    const weight = Math.sqrt((before.samples * rows) / samples)
    for (let i = 0; i < k; i++) {
      const x = weight * (before.mean[i]! - batchMean[i]!)
      stacked[(kept + rows) * k + i] = x
      variance += x * x
    }
  }
  const { sigma, right } = leadingTriplets(stacked, [stacked.length / k, k], count)
  const directions = withSigns(right, k)
  const seen = before?.samples ?? 0
  return {
    samples,
    mean: batchMean.map((m, i) => (seen * (before?.mean[i] ?? 0) + rows * m) / samples),
    variance,
    sigma,
    directions,
    isConverged: Array.from(sigma, (_, i) => {
      let cosine = 0
      for (let at = i * k; at < (i + 1) * k; at++) cosine += directions[at]! * (before?.directions[at] ?? 0)
      return cosine >= convergedCosine
    }),
  }
}

/** Each row with its largest number positive. */
const withSigns = (rows: Float64Array, width: number): Float64Array => {
  const signs = Array.from({ length: rows.length / width }, (_, row) => {
    const numbers = rows.subarray(row * width, (row + 1) * width)
    return numbers.reduce((largest, x) => (Math.abs(x) > Math.abs(largest) ? x : largest), 0) < 0 ? -1 : 1
  })
  return rows.map((x, i) => (signs[Math.floor(i / width)] ?? 1) * x)
}

export type EvaStart = {
  /** those of rank 0 are left out */
  readonly matrices: readonly AdaptedMatrix[]
  /** A of each: [r, k] */
  readonly A: ReadonlyMap<string, Float64Array>
  readonly batches: number
  readonly isConverged: boolean
}

/** Ranks and directions from batches of inputs. Reads batches until those directions that get a rank have converged. @throws SettingsError if no batch has enough tokens */
export const findDirections = async (
  matrices: readonly AdaptedMatrix[],
  batch: (index: number) => Promise<MatrixInputs>,
): Promise<EvaStart> => {
  const first = await batch(0)
  const groups = [...new Set(first.values())].map((input) => matrices.filter(({ name }) => first.get(name) === input))
  const hooks = groups.map((members) => {
    const [{ k } = { k: 0 }] = members
    return { members, k, count: Math.max(...members.map((matrix) => Math.min(mostRanks * matrix.r, matrix.d, k))) }
  })
  const components: (Components | null)[] = hooks.map(() => null)
  let ranks = new Map(hooks.flatMap(({ members, count }) => members.map(({ name }) => [name, count] as const)))
  const hasConverged = (i: number): boolean =>
    components[i]?.isConverged.slice(0, ranks.get(hooks[i]?.members[0]?.name ?? '')).every(Boolean) ?? false
  let batches = 0
  while (batches < mostBatches && !hooks.every((_, i) => hasConverged(i))) {
    const inputs = batches === 0 ? first : await batch(batches)
    const open = hooks.map((_, i) => !hasConverged(i))
    for (const [i, { members, k, count }] of hooks.entries())
      if (open[i]) components[i] = addBatch(components[i] ?? null, inputs.get(members[0]?.name ?? '') ?? [], k, count)
    batches++
    if (components.every((found) => found !== null)) ranks = distributeRanks(matrices, hooks, components as readonly Components[])
  }
  const short = hooks.find((_, i) => components[i] === null)
  if (short !== undefined) throw new SettingsError('initLoraWeights', `batches of at least ${short.count} tokens for eva`, 'fewer')
  const ranked = matrices.map((matrix) => ({ ...matrix, r: ranks.get(matrix.name) ?? 0 })).filter(({ r }) => r > 0)
  const directions = new Map(hooks.flatMap(({ members }, i) => members.map(({ name }) => [name, components[i]?.directions] as const)))
  const A = new Map(ranked.map(({ name, r, k }) => [name, directions.get(name)?.slice(0, r * k) ?? new Float64Array(0)]))
  return { matrices: ranked, A, batches, isConverged: hooks.every((_, i) => hasConverged(i)) }
}

type Hook = { readonly members: readonly AdaptedMatrix[]; readonly count: number }

/** The sum of the ranks goes to the components that explain the largest share of their inputs' variance; among equal inputs, the first matrix gets most. */
const distributeRanks = (
  matrices: readonly AdaptedMatrix[],
  hooks: readonly Hook[],
  components: readonly Components[],
): Map<string, number> => {
  const budget = matrices.reduce((sum, { r }) => sum + r, 0)
  const order = [...hooks.map(({ members }) => members.slice(0, 1)), ...hooks.map(({ members }) => members.slice(1))].flat()
  const shares = order.flatMap(({ name, d }) => {
    const i = hooks.findIndex(({ members }) => members.some((matrix) => matrix.name === name))
    const { sigma, variance } = components[i] as Components
    return Array.from(sigma.subarray(0, d), (s) => ({ name, share: s ** 2 / variance }))
  })
  const ranks = new Map(order.map(({ name }) => [name, 0]))
  for (const { name } of shares.sort((a, b) => b.share - a.share).slice(0, budget)) ranks.set(name, (ranks.get(name) ?? 0) + 1)
  for (const { members } of hooks) {
    const sorted = members.map(({ name }) => ranks.get(name) ?? 0).sort((a, b) => b - a)
    members.forEach(({ name }, i) => {
      ranks.set(name, sorted[i] ?? 0)
    })
  }
  return ranks
}

type EvaRun = RunAssembly & { readonly runtime: Runtime; readonly objective: Objective<TrainingExample> }

/** The state before the first step with ranks and A of EVA. Every token of a text is an input. */
export const startFromInputs = async (
  task: EvaRun,
  training: Examples<TrainingExample>,
  start: RunState,
): Promise<{ readonly start: RunState; readonly found: EvaStart }> => {
  const { matrices } = start.phase as LoraPhase
  const { settings, precision } = task
  const stepsPerEpoch = Math.ceil(training.length / (settings.batchSize * settings.gradientAccumulationSteps))
  const batchesOf = stepBatches(training, settings, stepsPerEpoch)
  const width = matrices.reduce((sum, { k }) => sum + k, 0)
  const size = Math.max(1, Math.min(settings.batchSize, Math.floor(mostNumbers / (width * settings.maxLength))))
  const batchesOfStep = (step: number) => inBatches(batchesOf(step).flat(), size)
  const perStep = batchesOfStep(0).length
  const session = await openInputs(task, start)
  try {
    const batch = async (index: number): Promise<MatrixInputs> => {
      const ofStep = batchesOfStep(Math.floor(index / perStep))
      return session.inputs(ofStep[index % perStep] ?? ofStep[0] ?? [])
    }
    const found = await findDirections(matrices, batch)
    const phase: LoraPhase = { matrices: [...found.matrices], start: 'ranked' }
    const [from, to] = [buildLayout(task, start.phase), buildLayout(task, phase)]
    const factors = new Map<string, Float64Array | undefined>(
      matrices.flatMap(({ name }) => [
        [`${name}.A`, found.A.get(name)],
        [`${name}.B`, undefined],
      ]),
    )
    const parameters = flatten(
      to,
      ({ name }) => (factors.has(name) ? factors.get(name) : viewTensor(from, start.parameters, name)),
      precision.dtype,
    )
    const vector = () => zeros(to.size, precision.dtype)
    return { start: { ...start, phase, parameters, firstMoment: vector(), secondMoment: vector() }, found }
  } finally {
    await session.release()
  }
}

/** A session whose outputs are the inputs of the adapted matrices. */
export const openInputs = async (task: EvaRun, { phase, parameters }: RunState) => {
  const { method, objective, runtime } = task
  const { matrices } = phase as LoraPhase
  const seen = new Map<string, Expression>()
  const watched: Wrap = (host) => ({
    ...host,
    linear: (name, x) => {
      if (matrices.some((matrix) => matrix.name === name)) seen.set(name, x)
      return host.linear(name, x)
    },
  })
  const wrap: typeof method.train.wrap =
    (...of) =>
    (host) =>
      watched(method.train.wrap(...of)(host))
  const distinct = (): readonly Expression[] => [...new Set(seen.values())]
  const reading: Objective<TrainingExample> = {
    ...objective,
    outputs: ({ forward }, batch) => {
      forward(batch)
      return Object.fromEntries(distinct().map((x, i) => [`input ${i}`, x]))
    },
    prepare: (...of) => ({ ...objective.prepare(...of), feeds: () => ({}), read: () => [] }),
  }
  const watching = { ...task, method: { ...method, train: { ...method.train, wrap } }, objective: reading }
  const predictor = await openPredictor(watching, reading, phase, runtime, { prepack: false })
  const places = new Map([...seen].map(([name, x]) => [name, distinct().indexOf(x)]))
  return {
    release: predictor.release,
    inputs: async (examples: readonly TrainingExample[]): Promise<MatrixInputs> => {
      const { compute } = await predictor.batches(parameters, { length: examples.length, at: (i) => examples[i] }, examples.length)
      const { results } = await compute(0)
      return new Map([...places].map(([name, i]) => [name, results[`input ${i}`] as unknown as ArrayLike<number>]))
    },
  }
}
