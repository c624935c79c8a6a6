/**
 * One replica's part of a round: H steps of AdamW on batches of its own. It follows from the run, the round's start, its moments and its number.
 * So it has the same bits on every machine of a kind.
 */
import type { Objective, TrainingExample } from '../objectives/objective.js'
import type { RunState } from '../parameters/runState.js'
import type { MomentVectors, Vector } from '../parameters/vectors.js'
import type { Assembly } from './assembly.js'
import { differenceOf } from './outerUpdate.js'
import type { PartGradient, PartSource } from './partGradient.js'
import type { PhaseSessions } from './phaseSessions.js'
import { batchOf, endOfRound } from './replicas.js'
import { trainStep } from './trainStep.js'

export type RoundContext<E extends TrainingExample> = {
  readonly assembly: Assembly
  readonly objective: Objective<E>
  /** examples of each batch of a step */
  readonly batches: (step: number) => ReadonlyArray<ReadonlyArray<E>>
  readonly learningRate: (step: number) => number
  /** of the whole run */
  readonly steps: number
}

/** What a replica reports of each of its steps. */
export const replicaReports = ['loss', 'taskLoss', 'gradientNorm', 'tokens'] as const
type Reports = Readonly<Record<(typeof replicaReports)[number], number>>

/** @param most steps at most @returns θ − θₖ as the gradient, the replica's moments, and the reports of each step as results. Its arguments are not changed. */
export const replicaRound = async <E extends TrainingExample>(
  { assembly, objective, batches, learningRate, steps }: RoundContext<E>,
  sessions: PhaseSessions,
  { step: first, phase, parameters, progress }: PartSource,
  replica: number,
  { firstMoment, secondMoment }: MomentVectors,
  most = Infinity,
): Promise<PartGradient> => {
  // a step overwrites moments in place, and the parameters of the step before the last
  let state: RunState = { step: first, phase, parameters, firstMoment: firstMoment.slice(), secondMoment: secondMoment.slice(), memory: {} }
  let spare: Vector | null = null
  const reports: Reports[] = []
  const end = Math.min(first + most, endOfRound(first, steps, assembly.settings))
  for (let step = first; step < end; step++) {
    const now = { step, steps: progress.steps }
    const context = { assembly, objective, progress: now, learningRate: learningRate(step), firstPart: replica }
    const outcome = await trainStep({ ...context, spare }, sessions, state, [batchOf(replica, batches(step))])
    const { loss, taskLoss, tokens, results } = outcome
    reports.push({ loss, taskLoss, tokens, gradientNorm: Number(results['gradientNorm']?.[0]) })
    spare = state.parameters === parameters ? null : state.parameters
    state = outcome.state
  }
  return {
    gradient: differenceOf(parameters, state.parameters),
    moments: { firstMoment: state.firstMoment, secondMoment: state.secondMoment },
    tokens: reports.reduce((sum, { tokens }) => sum + tokens, 0),
    results: Object.fromEntries(replicaReports.map((name) => [name, Float64Array.from(reports, (report) => report[name])])),
  }
}
