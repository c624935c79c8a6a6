/** Computes parts of a run from the trained numbers alone: the work of another machine. */
import { watchedWeights } from '../engines/engine.js'
import { inputError } from '../errors/inputError.js'
import type { TrainingExample } from '../objectives/objective.js'
import { buildLayout } from './assembly.js'
import { stepBatches } from './batchOrder.js'
import { evaluationPredictor } from './evaluation.js'
import type { TrainingTask } from './events.js'
import { forLengths } from './batchFeeds.js'
import { microBatchGradient, type MicroBatchGradient, type MicroBatchSource, answerMicroBatch } from './microBatchGradient.js'
import { openMicroBatchSessions, makePhaseSessions } from './phaseSessions.js'
import { runLength } from './runLength.js'
import { microBatchFeeds } from './microBatchFeeds.js'

/** Computes parts of one kind. */
export type PartComputer = {
  /** Opens the sessions of a phase before its first part. @throws InputError if it is no phase of the method */
  readonly open: (phase: unknown) => Promise<void>
  /** One part of what a leader published. @throws InputError if the parameters do not fit the phase, or the weights have changed */
  readonly compute: (source: MicroBatchSource, part: number) => Promise<MicroBatchGradient>
}

export type MicroBatchWorker = {
  /** gradients of the parts of steps */
  readonly gradients: PartComputer
  /** outputs of the batches of evaluations */
  readonly answers: PartComputer
  readonly release: () => Promise<void>
}

const where = 'the published step'

/** The run's task on this machine: the same model, data and settings. */
export const openMicroBatchWorker = <E extends TrainingExample, O>(task: TrainingTask<E, O>): MicroBatchWorker => {
  const [gradients, answers] = [openGradients(task), openAnswers(task)]
  return {
    gradients,
    answers,
    release: async () => {
      for (const { release } of [gradients, answers]) await release()
    },
  }
}

type Released = PartComputer & { readonly release: () => Promise<void> }

/** The phase that a published one is: the same object until another comes. */
const makePhaseParser = <E extends TrainingExample, O>({ method }: TrainingTask<E, O>): ((phase: unknown) => unknown) => {
  let current: { readonly text: string; readonly phase: unknown } | null = null
  return (phase) => {
    const text = JSON.stringify(phase)
    if (current?.text === text) return current.phase
    const parsed = method.phases.schema.safeParse(phase)
    if (!parsed.success) throw inputError(where, `a phase of ${method.name}`, parsed.error.issues[0]?.message ?? 'another')
    current = { text, phase: parsed.data }
    return current.phase
  }
}

const checkSize = ({ name }: { readonly name: string }, expected: number, { parameters }: MicroBatchSource): void => {
  if (parameters.length !== expected) throw inputError(where, `${expected} trained numbers of ${name}`, String(parameters.length))
}

const openGradients = <E extends TrainingExample, O>(given: TrainingTask<E, O>): Released => {
  const restorePhase = makePhaseParser(given)
  const { weights, check } = watchedWeights(given.runtime.weights)
  const watched = { ...given, runtime: { ...given.runtime, weights } }
  const task = forLengths(watched, given.training, given.runtime.engine)
  const { method, settings, model, precision, objective } = task
  const batches = stepBatches(task.training, settings, runLength(method, settings, model, task.training.length).stepsPerEpoch)
  const sessions = makePhaseSessions(task, openMicroBatchSessions)
  let prepared: { readonly source: MicroBatchSource; readonly prepareFeeds: ReturnType<typeof microBatchFeeds> } | null = null
  return {
    open: async (phase) => void (await sessions.of(restorePhase(phase))),
    compute: async (source, part) => {
      const phase = restorePhase(source.phase)
      const opened = await sessions.of(phase)
      checkSize(method, opened.layout.size, source)
      const { step, parameters, progress } = source
      if (prepared?.source !== source)
        prepared = {
          source,
          prepareFeeds: microBatchFeeds({ assembly: task, objective, progress }, opened, { step, phase, parameters }, batches(step)),
        }
      const { prepareFeeds } = prepared
      const gradient = await microBatchGradient(opened, parameters, (await prepareFeeds)(part), precision.dtype)
      await check()
      return gradient
    },
    release: sessions.release,
  }
}

const openAnswers = <E extends TrainingExample, O>(task: TrainingTask<E, O>): Released => {
  const parsePhase = makePhaseParser(task)
  const { method, evaluation, settings, precision } = task
  const predictors = evaluationPredictor(task)
  const openBatches = async (phase: unknown, { parameters }: MicroBatchSource) =>
    (await predictors.of(phase)).batches(parameters, evaluation, settings.batchSize)
  let prepared: { readonly source: MicroBatchSource; readonly batches: Awaited<ReturnType<typeof openBatches>> } | null = null
  return {
    open: async (phase) => void (await predictors.of(parsePhase(phase))),
    compute: async (source, part) => {
      const phase = parsePhase(source.phase)
      checkSize(method, buildLayout(task, phase).size, source)
      if (prepared?.source !== source) prepared = { source, batches: await openBatches(phase, source) }
      return answerMicroBatch(await prepared.batches.compute(part), precision.dtype)
    },
    release: predictors.release,
  }
}
