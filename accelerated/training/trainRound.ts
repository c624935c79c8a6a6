/** A round of a run whose replicas train apart: the part of each replica, here or elsewhere, then the outer update from all of them. */
import type { TrainingExample } from '../objectives/objective.js'
import type { RunState, RunProgress } from '../parameters/runState.js'
import { outerUpdate } from './outerUpdate.js'
import type { PartExecutor, PartGradient, PartSource, SpreadStep } from './partGradient.js'
import type { PhaseSessions } from './phaseSessions.js'
import { endOfRound, replicaMemory, replicaVectors } from './replicas.js'
import { replicaReports, replicaRound, type RoundContext } from './replicaRound.js'
import type { StepOutcome } from './trainStep.js'
import { tensorOf } from '../parameters/vectors.js'
import type { Assembly } from './assembly.js'
import type { StepReport } from './events.js'

/** Losses and the norm of the gradient are means of the replicas; tokens are theirs together. */
export type RoundStep = Omit<StepOutcome, 'state'>

export type RoundOutcome = {
  readonly state: RunState
  /** the steps of the round, in their order */
  readonly steps: ReadonlyArray<RoundStep>
}

/** @param executor who computes the replicas' parts; null: this process, one after another @returns the state after the round, in new vectors */
export const trainRound = async <E extends TrainingExample>(
  context: RoundContext<E>,
  sessions: PhaseSessions,
  state: RunState,
  progress: PartSource['progress'],
  executor: PartExecutor | null,
): Promise<RoundOutcome> => {
  const { settings } = context.assembly
  const replicas = settings.gradientAccumulationSteps
  const { momentum, moments } = replicaVectors(state, replicas)
  const { step, phase, parameters } = state
  const source = { step, phase, parameters, progress }
  const upTo =
    (most: number) =>
    (replica: number): Promise<PartGradient> =>
      replicaRound(context, sessions, source, replica, moments[replica] as (typeof moments)[number], most)
  const count = endOfRound(step, context.steps, settings) - step
  const round = { moments, begin: upTo(1) }
  const spread = { ...source, layout: sessions.layout, parts: replicas, compute: upTo(Infinity), fits: fitsRound(count), round }
  const parts = await (executor ?? oneAfterAnother)(spread)
  const differences = parts.map(({ gradient }) => gradient)
  const outer = outerUpdate({ parameters, momentum }, differences, settings)
  const after = parts.map((part, replica) => {
    if (part.moments === undefined) throw new Error(`trainRound: expected the moments of replica ${replica + 1}, got none`)
    return part.moments
  })
  const steps = stepsOf(parts, count)
  const vectors = replicaMemory({ momentum: outer.momentum, moments: after })
  return { state: { ...vectors, parameters: outer.parameters, step: step + count, phase }, steps }
}

const oneAfterAnother: PartExecutor = async ({ parts, compute }) => {
  const computed: PartGradient[] = []
  for (let part = 0; part < parts; part++) computed.push(await compute(part))
  return computed
}

/** Whether a part reports each step, and has second moments of squares. */
const fitsRound =
  (count: number): NonNullable<SpreadStep['fits']> =>
  (_, { results, moments }) =>
    replicaReports.every((name) => results[name]?.length === count) && moments !== undefined && !moments.secondMoment.some((x) => x < 0)

const stepsOf = (parts: ReadonlyArray<PartGradient>, count: number): ReadonlyArray<RoundStep> => {
  const sumOf = (name: string, step: number): number => parts.reduce((sum, { results }) => sum + Number(results[name]?.[step]), 0)
  const meanOf = (name: string, step: number): number => sumOf(name, step) / parts.length
  return Array.from({ length: count }, (_, step) => ({
    loss: meanOf('loss', step),
    taskLoss: meanOf('taskLoss', step),
    tokens: sumOf('tokens', step),
    results: { gradientNorm: Float64Array.of(meanOf('gradientNorm', step)) },
  }))
}

// The report of a step: losses, speed, and the method's own measures.
/** The report of a step, and its measures by matrix. @param before the state before the step @param seconds what the step took */
export const reportOf = (
  { method }: Pick<Assembly, 'method'>,
  { layout }: Pick<PhaseSessions, 'layout'>,
  before: RunState,
  { results, tokens, loss, taskLoss }: Omit<StepOutcome, 'state'>,
  { learningRate, stepsPerEpoch, seconds }: { readonly learningRate: number; readonly stepsPerEpoch: number; readonly seconds: number },
): { readonly report: StepReport; readonly byMatrix: RunProgress['byMatrix'] } => {
  const numbers = (name: string): ReadonlyArray<number> | undefined =>
    results[name] === undefined ? undefined : Array.from(results[name], Number)
  const measures = method.reporting?.measures?.(before.phase, numbers, (name) => tensorOf(layout, before.parameters, name))
  const report: StepReport = {
    kind: 'step',
    step: before.step + 1,
    epoch: (before.step + 1) / stepsPerEpoch,
    loss,
    taskLoss,
    columns: measures?.columns ?? {},
    learningRate,
    gradientNorm: numbers('gradientNorm')?.[0] ?? NaN,
    tokens,
    tokensPerSecond: tokens / seconds,
  }
  return { report, byMatrix: measures?.byMatrix ?? {} }
}

/** Expected ranks while the method searches for them; null before and after, and for a method that searches for none. */
export const expectedRanksOf = (
  { method, settings }: Pick<Assembly, 'method' | 'settings'>,
  { layout }: Pick<PhaseSessions, 'layout'>,
  { phase, parameters }: RunState,
): Readonly<Record<string, number>> | null =>
  method.reporting?.expectedRanks?.(phase, settings, (name) => tensorOf(layout, parameters, name)) ?? null
