/** A round of a run whose replicas train apart: the part of each replica, here or elsewhere, then the outer update from all of them. */
import type { TrainingExample } from '../objectives/objective.js'
import type { RunState } from '../parameters/runState.js'
import { outerUpdate } from './outerUpdate.js'
import type { PartExecutor, PartGradient, PartSource, SpreadStep } from './partGradient.js'
import type { PhaseSessions } from './phaseSessions.js'
import { endOfRound, replicaMemory, replicaVectors } from './replicas.js'
import { replicaReports, replicaRound, type RoundContext } from './replicaRound.js'
import type { StepOutcome } from './trainStep.js'

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
