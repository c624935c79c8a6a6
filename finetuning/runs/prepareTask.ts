/** Prepares a task up to its first step, on any machine: model, initial state and tokens. */
import { checkpointNumbers } from '../../accelerated/checkpoints/frozenWeights.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { warmStart } from '../../accelerated/formats/warmStart.js'
import { startPhase } from '../../accelerated/methods/startPhase.js'
import { withTrainedTokens } from '../../accelerated/methods/trainedTokens.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { TokenizedExample } from '../../accelerated/models/packing.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'
import type { InferenceState, RunProgress, RunState } from '../../accelerated/parameters/runState.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import type { Precision } from '../../accelerated/precisions/precision.js'
import { assemble, type Assembly } from '../../accelerated/training/assembly.js'
import { evaluateEach, evaluateState } from '../../accelerated/training/evaluation.js'
import type { Scored, TrainingEvent, TrainingResult, TrainingTask } from '../../accelerated/training/events.js'
import type { Runtime } from '../../accelerated/training/phaseSessions.js'
import { startOfRun } from '../../accelerated/training/initialState.js'
import { openPartWorker, type PartWorker } from '../../accelerated/training/partWorker.js'
import { runLength, type RunLength } from '../../accelerated/training/runLength.js'
import { methodOf, type Settings } from '../../accelerated/training/settings.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import type { Dataset } from '../data/index.js'
import { respelled } from '../data/labels.js'
import { quoted, shown } from '../../accelerated/errors/inputError.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import { withAdapterTokens } from '../../accelerated/formats/peft/tokenRows.js'
import { reportOf, withLengths, type DataReport } from '../inspection/runReport.js'
import type { TaskAdapter } from '../tasks/taskType.js'
import type { CardData } from './cardFacts.js'
import { devicePlacement, type PlacementEvent } from './devicePlacement.js'
import { detailsFrom, type EvaluationDetails } from './evaluationDetails.js'
import type { BaseModel } from './openBaseModel.js'
import type { FinetuneEvent, RunOptions, RunFacts } from './run.js'
import { bindTask, tokenizeRunData, type RunData, type RunExamples } from './runData.js'
import { runFacts } from './runFacts.js'
import { runInputs, type RunInputs } from './runFingerprint.js'
import { rowKeysOf, runRowsOf } from './runRows.js'
import type { SampleMemory } from './sampleMemory.js'
import type { Sampler } from './sampler.js'
import { runTokens, type RunTokens } from './runTokens.js'

/** The part of a run's training task that does not depend on the type of its examples. */
export type RunTask = Assembly & { readonly settings: Settings }

export type PreparedRun = {
  readonly task: RunTask
  readonly examples: Omit<RunExamples<TokenizedExample>, 'test'>
  readonly plan: RunLength
  /** undefined: no samples */
  readonly sampleMemory: SampleMemory | undefined
  readonly base: ModelFolder
  readonly outputs: ModelOutputs
  readonly labelNames: ReadonlyArray<string> | undefined
  readonly start: RunState
  /** the text of rows.json */
  readonly rows: string
  /** The data section of the model card; it holds no example. */
  readonly data: CardData
  readonly inputs: RunInputs
  readonly facts: RunFacts
  /** Of the newest evaluation; null before the first one, and where there are no classes and no errors. */
  readonly details: () => Omit<EvaluationDetails, 'step'> | null
  /** News of the nodes that the device left to the CPU. */
  readonly placements: () => ReadonlyArray<PlacementEvent>
  /** Scores a state on the test data; yields the examples done. null: there is no test data. */
  readonly test: ((inference: InferenceState) => AsyncGenerator<number, Scored>) | null
  /** Scores states of one phase on the evaluation data, one after another. */
  readonly evaluateEach: (phase: unknown, states: Iterable<Vector>) => AsyncGenerator<Scored, void>
  /** Computes parts of the run's steps, for a leader on another machine. */
  readonly openParts: () => PartWorker
  /** Trains from a state. */
  readonly train: (
    more: Pick<TrainingTask, 'plannedSteps' | 'evalOnStart' | 'executor' | 'answers'>,
    ...from: [start: RunState, resumed: RunProgress | null, signal: AbortSignal]
  ) => AsyncGenerator<TrainingEvent, TrainingResult>
}

export type Machine = { readonly device: Device; readonly precision: Precision }

/** What differs between machines. */
export type Surroundings = {
  /** Opens the base model of a task with these outputs. @throws InputError if it cannot do the task */
  readonly openBase: (outputs: ModelOutputs) => Promise<BaseModel>
  /** What generates texts after an evaluation. Absent: nothing does. */
  readonly samplerOf?: (run: SampledRun) => Promise<Sampler | null>
}

export type SampledRun = { readonly assembly: RunTask; readonly runtime: Runtime; readonly base: ModelFolder }

/** @throws InputError or SettingsError for the first thing wrong in the model, in the settings or in what they make of the data */
export async function* prepareTask<E extends TrainingExample, O>(
  options: RunOptions,
  data: RunData,
  task: TaskAdapter<E, O>,
  machine: Machine,
  { openBase, samplerOf }: Surroundings,
): AsyncGenerator<FinetuneEvent, PreparedRun> {
  const { settings } = options
  const { device, precision } = machine
  yield { kind: 'preparing', what: `opening ${options.model}` }
  const { base: plain, revision } = await openBase(task.outputs)
  yield* checkSettings(settings, plain, data.train.examples.length, machine)
  const { base, tokens } = await runTokens(plain, settings, task.outputs)
  const { assembly, weights } = yield* assembleRun(base, settings, tokens, precision, task)
  for (const message of assembly.objective.warnings ?? []) yield { kind: 'warning', message }
  const start = yield* initialState(options, assembly, base, data.labelNames)
  // before the examples are drained
  const details = detailsFrom(task, data.evaluation.examples)
  let newest: ReturnType<typeof details> = null
  const score = (answers: ReadonlyArray<O>): Scored => {
    newest = details(answers)
    return task.score(answers)
  }
  const keys = rowKeysOf(data)
  const report = reportOf(data, keys, settings)
  const [rows, card, inputs] = [runRowsOf(data, keys), cardDataOf(data), await runInputs(base, data, options.adapter)]
  const facts = runFacts(assembly, data, task, start, { device: device.name, revision, modelParameters: parametersOf(base) })
  const scoreTest = data.test === undefined ? null : testScorer<O>(data, data.test, settings)
  const { onPlacement, news } = devicePlacement(device.name, settings.strictDevice)
  const runtime = {
    engine: device.engine({ threads: settings.threads, deviceId: settings.deviceId, tf32: settings.tf32, onPlacement }),
    weights,
  }
  const sampler = (await samplerOf?.({ assembly, runtime, base })) ?? null
  const { warnings, test, ...examples } = yield* tokenizeRunData(data, task, base, settings)
  yield* reported(withLengths(report, examples.training, warnings))
  const training: TrainingTask<E, O> & RunTask = {
    ...assembly,
    runtime,
    ...examples,
    score,
    ...(sampler === null ? {} : { sample: sampler.sample }),
  }
  return {
    ...{ task: training, examples, base, start, rows, data: card, inputs, facts },
    plan: runLength(assembly.method, settings, base.model, examples.training.length), // packing: rows, not texts
    outputs: task.outputs,
    labelNames: data.labelNames ?? undefined,
    sampleMemory: sampler?.memory,
    details: () => newest,
    placements: news,
    test: test === null || scoreTest === null ? null : (inference) => evaluateState(training, inference, test, scoreTest),
    evaluateEach: (phase, states) => evaluateEach(training, phase, states),
    openParts: () => openPartWorker(training),
    train: (more, ...from) => train({ ...training, ...more }, ...from),
  }
}

/** The report on the data, and a warning of each finding that matters. */
function* reported(report: DataReport): Generator<FinetuneEvent, void> {
  yield { kind: 'data', ...report }
  for (const { message, warns } of report.findings) if (warns) yield { kind: 'warning', message }
}

/** @throws SettingsError if the settings do not fit the model, the method or the precision */
async function* checkSettings(
  settings: Settings,
  base: ModelFolder,
  examples: number,
  { device, precision }: Machine,
): AsyncGenerator<FinetuneEvent, void> {
  const method = methodOf(settings.method)
  runLength(method, settings, base.model, examples)
  const trained = method.train.tensors(startPhase(method, base.model.spec, settings), settings).map(({ name }) => name)
  precision.check?.(new Set(trained), base, method.name)
  const speedup = (await precision.speedup?.(device)) ?? Infinity
  if (speedup < 1)
    yield {
      kind: 'warning',
      message: `products in ${precision.name} run at ${speedup.toFixed(2)} of float32's rate on this processor: float32 is faster here`,
    }
}

/** Model, method, precision and objective in one; the weights stay where the precision put them. */
async function* assembleRun<E extends TrainingExample, O>(
  base: ModelFolder,
  settings: Settings,
  tokens: RunTokens['tokens'],
  precision: Precision,
  task: TaskAdapter<E, O>,
) {
  const method = withTrainedTokens(methodOf(settings.method), tokens)
  const frozen = yield* asPreparing(precision.open(base))
  const parts = { model: base.model, frozen: frozen.tensor, method, settings, precision }
  return { assembly: { ...assemble(parts, (model) => task.objective(model, method)), settings }, weights: frozen.weights }
}

/** What a precision reports while it opens weights, as events of the run. */
async function* asPreparing<T>(opening: AsyncGenerator<string, T>): AsyncGenerator<FinetuneEvent, T> {
  for (;;) {
    const next = await opening.next()
    if (next.done === true) return next.value
    yield { kind: 'preparing', what: next.value }
  }
}

/** The state before the first step, with an adapter's numbers if the options name one. @throws InputError if the adapter does not fit */
async function* initialState(
  { adapter }: RunOptions,
  run: RunTask,
  base: ModelFolder,
  labelNames: ReadonlyArray<string> | null,
): AsyncGenerator<FinetuneEvent, RunState> {
  const drawn = await startOfRun(run, checkpointNumbers(base))
  if (adapter === undefined) return drawn
  const read = await readAdapter(adapter, await baseOfAdapter(adapter, base), base.storage)
  const { state, withHead } = warmStart(run, drawn, read, labelNames ?? undefined, `--adapter ${adapter}`)
  if (!withHead)
    yield {
      kind: 'warning',
      message: `${adapter}: its head is not of the task's classes; the run begins with another${spellingRemedy(read.labelNames, labelNames)}`,
    }
  return state
}

/** The base model with the adapter's own new tokens. @throws SettingsError if the run numbers them in another way */
const baseOfAdapter = async (adapter: string, base: ModelFolder): Promise<ModelFolder> => {
  const { added: ours } = base
  const own = await withAdapterTokens(adapter, ours?.plain ?? base, base.storage)
  const theirs = own.added?.tokens ?? []
  if (theirs.every((token, i) => token === ours?.tokens[i])) return own
  const names = theirs.map((token) => quoted(token)).join(', ')
  throw new SettingsError('newTokens', `${names} first, as the adapter has them`, shown(ours?.tokens ?? null))
}

/** How to keep the adapter's head if its classes are the task's, spelled in another way. */
const spellingRemedy = (theirs: ReadonlyArray<string> | undefined, ours: ReadonlyArray<string> | null): string => {
  const name = theirs === undefined || ours === null ? null : respelled(theirs, ours)
  if (name === null) return ''
  const labels =
    name.as === 'number' ? 'write the labels in the data as the adapter does, with --labels-as-text' : 'rename the labels in the data'
  return `. The classes differ only in ${name.as === 'number' ? 'how numbers are written' : 'case'}: ${quoted(name.first)} in the adapter, ${quoted(name.second)} in the data. To keep its head, ${labels}`
}

/** The number of the model's weights, without heads. */
const parametersOf = ({ tensors }: Pick<ModelFolder, 'tensors'>): number =>
  [...tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((size, extent) => size * extent, 1), 0)

/** Scores of answers to the test data: the same task type on the same classes has the same answers. */
const testScorer = <O>(data: RunData, test: Dataset, settings: Settings): TaskAdapter<TrainingExample, O>['score'] =>
  bindTask({ ...data, evaluation: test }, settings)((adapter) => adapter.score as unknown as TaskAdapter<TrainingExample, O>['score'])

const cardDataOf = ({ taskType, labelNames, heldOut, train: { source, files }, evaluation, test }: RunData): CardData => ({
  ...{ taskType, labelNames, heldOut },
  train: { source, ...(files === undefined ? {} : { files }) },
  evaluation: { source: evaluation.source, ...(files === undefined || !heldOut ? {} : { files }) },
  test: test === undefined ? null : { source: test.source },
})
