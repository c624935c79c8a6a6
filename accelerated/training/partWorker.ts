/** Computes parts of a run's steps from the trained numbers alone, without the run's moments: what a worker of a run on several machines does. */
import { inputError } from '../errors/inputError.js'
import type { TrainingExample } from '../objectives/objective.js'
import { stepBatches } from './batchOrder.js'
import type { TrainingTask } from './events.js'
import { forLengths } from './longTexts.js'
import { partGradient, type PartGradient, type PartSource } from './partGradient.js'
import { openPartSessions, phaseSessionsOf, type PartSessions } from './phaseSessions.js'
import { runLength } from './runLength.js'
import { stepParts, type PartFeeds } from './stepParts.js'

export type PartWorker = {
  /** Opens the sessions of a phase before its first part. @throws InputError if it is no phase of the method */
  readonly open: (phase: unknown) => Promise<void>
  /** The gradient of one part of a step. @throws InputError if the parameters do not fit the phase */
  readonly gradientOf: (source: PartSource, part: number) => Promise<PartGradient>
  readonly release: () => Promise<void>
}

const where = 'the published step'

/** The run's task on this machine: the same model, data and settings. */
export const openPartWorker = <E extends TrainingExample, O>(given: TrainingTask<E, O>): PartWorker => {
  const task = forLengths(given, given.training, given.runtime.engine)
  const { method, settings, model, precision, objective } = task
  const batches = stepBatches(task.training, settings, runLength(method, settings, model, task.training.length).stepsPerEpoch)
  const sessions = phaseSessionsOf(task, openPartSessions)
  let current: { readonly text: string; readonly phase: unknown } | null = null
  let prepared: { readonly source: PartSource; readonly feedsOf: (part: number) => PartFeeds } | null = null
  const sessionsOf = async (phase: unknown): Promise<PartSessions> => {
    const text = JSON.stringify(phase)
    if (current?.text !== text) {
      const parsed = method.phases.schema.safeParse(phase)
      if (!parsed.success) throw inputError(where, `a phase of ${method.name}`, parsed.error.issues[0]?.message ?? 'another')
      current = { text, phase: parsed.data }
    }
    return sessions.of(current.phase)
  }
  return {
    open: async (phase) => void (await sessionsOf(phase)),
    gradientOf: async (source, part) => {
      const opened = await sessionsOf(source.phase)
      const { step, parameters, progress } = source
      if (parameters.length !== opened.layout.size)
        throw inputError(where, `${opened.layout.size} trained numbers of ${method.name}`, String(parameters.length))
      if (prepared?.source !== source) {
        const state = { step, phase: current?.phase }
        prepared = { source, feedsOf: stepParts({ assembly: task, objective, progress }, opened, state, batches(step)) }
      }
      return partGradient(opened, parameters, prepared.feedsOf(part), precision.dtype)
    },
    release: sessions.release,
  }
}
