/**
 * The recipe of a run: from options to an adapter, in the order in which it happens. It is the same in Node, in its worker thread, in a browser and
 * for the leader of several machines. What differs between them is a `Machine`: nodeMachine.ts, and web/finetune.ts.
 */
import { type Checkpoint, lastCheckpoint, saveCheckpoint } from '../accelerated/checkpoints/checkpointFile.js'
import { checkFinite, checkpointNumbers } from '../accelerated/checkpoints/frozenWeights.js'
import { checkLabelNames } from '../accelerated/checkpoints/labelNames.js'
import { frozenHead, type ModelFolder } from '../accelerated/checkpoints/modelFolder.js'
import { newestCheckpoint } from '../accelerated/checkpoints/loadCheckpoint.js'
import type { Device } from '../accelerated/engines/devices/device.js'
import { watchedWeights } from '../accelerated/engines/engine.js'
import { memoryLimit } from '../accelerated/engines/inNode.js'
import { ChangedFileError, InputError, inputError, quoted, formatValue } from '../accelerated/errors/inputError.js'
import { SettingsError, TrainingError } from '../accelerated/errors/expectedErrors.js'
import { option, words } from '../accelerated/errors/words.js'
import { findFormat, readAdapter, writeAdapter } from '../accelerated/formats/index.js'
import { baseOfAdapter } from '../accelerated/formats/peft/wholeModules.js'
import { warmStart } from '../accelerated/formats/warmStart.js'
import { startPhase } from '../accelerated/methods/startPhase.js'
import { withTrainedTokens } from '../accelerated/methods/trainedTokens.js'
import { sentenceEncoder } from '../accelerated/models/layers/classifierHead.js'
import { selectHead, type ModelOutputs } from '../accelerated/models/modelOutputs.js'
import type { Examples } from '../accelerated/models/packing.js'
import type { TrainingExample } from '../accelerated/objectives/objective.js'
import { fitScoreScale } from '../accelerated/objectives/sequenceClassification.js'
import type { RunState } from '../accelerated/parameters/runState.js'
import { checkWeightsFit } from '../accelerated/precisions/memoryCheck.js'
import { checkDevice, type Precision } from '../accelerated/precisions/precision.js'
import { findPrecision } from '../accelerated/settings/commonSettings.js'
import { leastChoosingRows, mostFoldedRows } from '../accelerated/settings/defaults.js'
import { joinPath } from '../accelerated/storage/paths.js'
import { assemble } from '../accelerated/training/assembly.js'
import { evaluateState } from '../accelerated/training/evaluation.js'
import type { TrainingEvent, TrainingResult, TrainingTask } from '../accelerated/training/events.js'
import { initializeRun, runOutline } from '../accelerated/training/initialState.js'
import type { Runtime } from '../accelerated/training/phaseSessions.js'
import { runLength, type RunLength } from '../accelerated/training/runLength.js'
import { peakLearningRate } from '../accelerated/training/learningRate.js'
import { findMethod, type Settings } from '../accelerated/training/resolveSettings.js'
import { train } from '../accelerated/training/trainingLoop.js'
import { isGlueName } from './data/glueTasks.js'
import type { Dataset, Example } from './data/index.js'
import { respelled } from './data/labels.js'
import type { Leader } from './machines/leaderEvents.js'
import { buildDataReport, withLengths, type DataReport } from './inspection/dataReport.js'
import type { LoadedMetric } from './metrics/metricModule.js'
import type { CardData } from './run/cardFacts.js'
import { calibrateKept } from './run/calibrate.js'
import { checkSpreads } from './run/checkSpreads.js'
import { devicePlacement, type DevicePlacement } from './run/devicePlacement.js'
import { startFromInputs } from './run/evaStart.js'
import type { Estimate } from './run/estimateRun.js'
import { chooseContrast, chooseFolds, crossValidate, readFolds, writeFolds, type AnswersByStep, type Folds } from './run/folds.js'
import { detailsFrom, writeDetails, type EvaluationDetails } from './run/evaluationDetails.js'
import { toMetricsLine } from './run/metricsLine.js'
import type { MetricsLog } from './run/metricsLog.js'
import type { Calibration, FinetuneEvent, FinetuneOptions, RunFacts, RunOptions, RunResult, TestScores } from './run/run.js'
import { earlierDefaults, runInputs, type RunInputs } from './run/runFingerprint.js'
import type { FolderContent, RunFolder, RunSources } from './run/runFolder.js'
import { countNumbers, describeRun, selectState, toAdapter, toResult, type RunAssembly } from './run/runResult.js'
import { computeRowKeys, encodeRunRows } from './run/runRows.js'
import { computeFeatures, mostProbed, startFromProbe, wantsProbe } from './run/linearProbeStart.js'
import { mineNegatives, readNegatives, writeNegatives } from './run/minedNegatives.js'
import { runTokens, type RunTokens } from './run/runTokens.js'
import type { SampleMemory } from './run/sampleMemory.js'
import { checkGenerates } from './run/samplePrompts.js'
import type { Sampler } from './run/sampler.js'
import { bindWithMetric, withMetric } from './tasks/chosenMetric.js'
import { parseClassWeights, dominantClass, singleLabel } from './tasks/classification/index.js'
import type { LoadedTask, TaskOptions } from './tasks/task.js'
import type { Answer, BoundTask, Mining, Probe, TaskData, TaskType } from './tasks/taskType.js'
import { reportTokenizing } from './tasks/exampleTokenizer.js'

/** What a run asks of the place where it happens. */
export type Machine = {
  /** Parses the options and examines the run's folder, before any data is read. Writes nothing. @throws InputError, SettingsError */
  readonly readRequest: (options: FinetuneOptions, signal: AbortSignal) => AsyncGenerator<FinetuneEvent, RunRequest>
  readonly chooseDevice: (settings: Settings) => Promise<Device>
  readonly loadTask: (options: TaskOptions) => Promise<LoadedTask>
  /** Opens the commit in `options.revision`, if there is one. @returns the commit on the hub, or null for a folder @throws InputError */
  readonly openModel: (
    options: RunOptions,
    signal: AbortSignal,
  ) => Promise<{ readonly model: ModelFolder; readonly revision: string | null }>
  /** Creates or opens the run's folder, for this process alone. @throws InputError */
  readonly openFolder: (request: RunRequest, sources: RunSources) => Promise<RunFolder>
  /** What answers sample prompts, or predicts texts that people watch, after an evaluation. Absent: nothing does. */
  readonly openSampler?: (options: RunOptions, run: SampledRun) => Promise<Sampler | null>
  /** The memory that the run needs. Absent: nobody knows it here. */
  readonly estimate?: (run: PreparedRun) => Promise<Estimate>
  /** The other machines that compute parts of steps and evaluations. Absent, or null: there are none. */
  readonly openLeader?: (run: PreparedRun, signal: AbortSignal) => Promise<Leader | null>
  /** Writes the model card beside the adapter. Absent: there is none. */
  readonly writeCard?: (run: PreparedRun, folder: RunFolder, result: RunResult) => Promise<void>
}

/** What a run is asked to do, checked as far as it can be without its data. */
export type RunRequest = {
  readonly options: RunOptions
  readonly metric: LoadedMetric | null
  readonly content: FolderContent
}

/** A run that is ready for its first step. */
export type PreparedRun = {
  readonly options: RunOptions
  readonly base: ModelFolder
  readonly outputs: ModelOutputs
  readonly labelNames: readonly string[] | undefined
  /** the model with its method and objective, its examples as tokens, and their scores */
  readonly task: TrainingTask & RunAssembly
  /** undefined: there is no test data */
  readonly test: { readonly examples: Examples<TrainingExample>; readonly score: TrainingTask['score'] } | undefined
  /** @throws ChangedFileError if the files of the frozen weights are no longer those that the run read */
  readonly checkWeights: () => Promise<void>
  readonly start: RunState
  /** undefined: the head begins as the model, the adapter or chance has it */
  readonly probe: Probe<TrainingExample> | undefined
  /** undefined: the examples have all that they are trained on */
  readonly mining: Mining<TrainingExample, Answer> | undefined
  /** null: the evaluation rows took no part in training */
  readonly folds: Folds | null
  readonly plan: RunLength
  /** the text of rows.json */
  readonly rows: string
  readonly inputs: RunInputs
  readonly facts: RunFacts
  /** the data section of the model card, without an example */
  readonly card: CardData
  /** undefined: there are no sample prompts */
  readonly sampleMemory: SampleMemory | undefined
  /** the nodes that the device left to the CPU */
  readonly placement: DevicePlacement
}

export type SampledRun = {
  readonly assembly: RunAssembly
  readonly runtime: Runtime
  readonly base: ModelFolder
  readonly outputs: ModelOutputs
  /** null: the task has none */
  readonly labelNames: readonly string[] | null
}

/**
 * Trains, scores the test data and saves. The last event is the result, which it also returns. An aborted signal ends the run after the current step,
 * with a checkpoint and an adapter.
 * @throws InputError, SettingsError, DeviceError or TrainingError
 */
export async function* runRecipe(input: FinetuneOptions, machine: Machine, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunResult> {
  const began = performance.now()
  const request = yield* machine.readRequest(input, signal)
  const run = yield* prepareRun(request, machine, signal)
  checkSpreads(run.options, run)
  const folder = await machine.openFolder({ ...request, options: run.options }, toSources(run)) // last: errors above leave no folder
  let leader: Leader | null = null
  try {
    leader = (await machine.openLeader?.(run, signal)) ?? null
    yield { kind: 'ready', ...run.facts }
    if (machine.estimate !== undefined) yield { kind: 'estimate', ...(await machine.estimate(run)) }
    yield* warnOfMethod(run, folder)
    const checkpoint = yield* readCheckpoint(run, folder)
    const log = yield* beginLog(run, folder, checkpoint)
    const begun = yield* beginTraining(run, checkpoint, signal)
    const raw = yield* trainAndRecord(run, folder, log, { ...begun, checkpoint }, leader, signal)
    const { trained, calibration } = yield* calibrate(run, raw, begun.answersByStep)
    const test = yield* scoreOnTest(run, trained, signal)
    const result = describeResult(run, folder, trained, { test, calibration }, (performance.now() - began) / 1000)
    await folder.check()
    await log.flush()
    if (trained.last.step > 0) {
      await saveAdapter(run, folder, trained)
      await machine.writeCard?.(run, folder, result)
    }
    await folder.writeResult(result)
    yield { kind: 'result', result }
    return result
  } finally {
    await leader?.close()
    await folder.release()
  }
}

/** Up to the first step: device, data, model, initial state and tokens. A worker on another machine prepares the same run. @throws as runRecipe */
export async function* prepareRun(
  { options: asked, metric }: Pick<RunRequest, 'options' | 'metric'>,
  machine: Machine,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, PreparedRun> {
  const device = await machine.chooseDevice(asked.settings)
  const precision = findPrecision(asked.settings.precision)
  await checkDevice(precision, device)
  const loaded = yield* loadData(asked, metric, machine)
  const { data: split, classWeights } = yield* balanceClasses(asked, loaded)
  if (split.evaluation.examples.length === 0 && asked.settings.earlyStoppingPatience !== null)
    throw inputError(
      option('earlyStoppingPatience'),
      words`rows that are held out (${option('evalShare')} is 0)`,
      String(asked.settings.earlyStoppingPatience),
    )
  const outputs = bindTask(split, { classWeights }).outputs
  const { base, tokens, revision } = yield* openModel(
    { ...asked, settings: { ...asked.settings, classWeights } },
    split,
    outputs,
    { machine, device, precision },
    signal,
  )
  const given = withLearningRate(asked, split, base, outputs)
  const { data, folds } = chooseFolds(given, split, base, outputs)
  const contrast = chooseContrast(given, split, base, outputs)
  const options = { ...given, settings: { ...resolveBestModelChoice(given, data), classWeights, contrast } }
  const { settings } = options
  const task = bindTask(data, settings)
  const { assembly, weights, checkWeights } = yield* assembleRun(base, settings, tokens, precision, task)
  for (const message of assembly.objective.warnings ?? []) yield warning(message)
  const { start, hasHead } = yield* initialState(options, assembly, base, data.labelNames)
  const described = await describeData(options, data, task, base, folds !== null) // before the examples are drained
  const modelParameters = [...base.tensors.values()].reduce((sum, { shape }) => sum + countNumbers(shape), 0)
  const place = { device: device.name, revision, modelParameters }
  const facts = describeRun(assembly, data, start, { ...place, outputs, majority: task.majority, folds: folds?.count })
  const scoreTest = data.test === undefined ? null : bindTask({ ...data, evaluation: data.test }, settings).score
  const placement = devicePlacement(device.name)
  const runtime = { engine: device.engine({ threads: settings.threads, onPlacement: placement.onPlacement }), weights }
  const sampler = (await machine.openSampler?.(options, { assembly, runtime, base, outputs, labelNames: data.labelNames })) ?? null
  const { training, evaluation, test, warnings } = yield* tokenize(data, task, base, settings)
  yield* reportData(withLengths(described.report, training, warnings))
  const probe = wantsProbe(base, settings, outputs, findFormat(assembly.method)) && !hasHead ? task.probe?.(assembly.model) : undefined
  const planRun = (of: Settings): RunLength =>
    runLength(assembly.method, of, base.model, training.length, probe !== undefined, evaluation.length) // packing: rows, not texts
  const paced =
    folds === null || settings.evalSteps !== null ? settings : { ...settings, evalSteps: Math.ceil(planRun(settings).steps / 2) }
  const sample = sampler === null ? {} : { sample: sampler.sample }
  return {
    ...{
      options: given,
      base,
      outputs,
      labelNames: data.labelNames ?? undefined,
      start,
      facts,
      placement,
      checkWeights,
      probe,
      folds,
      mining: task.mining,
    },
    task: { ...assembly, settings: paced, runtime, training, evaluation, score: described.score, ...sample },
    test: test === null || scoreTest === null ? undefined : { examples: test, score: scoreTest },
    plan: planRun(paced),
    ...{ rows: described.rows, inputs: described.inputs, card: described.card },
    sampleMemory: sampler?.memory,
  }
}

/** Classes of a file that are very uneven count alike, and macro F1 chooses the step, unless the user says otherwise. */
function* balanceClasses(
  { settings, task }: RunOptions,
  data: RunData,
): Generator<FinetuneEvent, { readonly data: RunData; readonly classWeights: Settings['classWeights'] }> {
  const { classWeights } = settings
  if (classWeights !== 'auto') return { data, classWeights }
  const isFree = task.metricForBestModel === undefined && data.metric === undefined && data.positive === undefined
  const isOwnData = !isGlueName(task.task) && data.taskType === singleLabel
  const dominant = isFree && isOwnData ? dominantClass(data.train.examples.map(({ label }) => label)) : null
  if (dominant === null) return { data, classWeights: null }
  const name = quoted(data.labelNames?.[dominant.label] ?? '')
  yield warning(
    `${Math.floor(100 * dominant.share)} % of the training rows are ${name}: the classes count alike, and macroF1 chooses the step (--class-weights equal turns this off)`,
  )
  return { data: { ...data, selectionMetric: 'macroF1' }, classWeights: 'balanced' }
}

/** Whether the best step is kept, where the user does not say how it is chosen: a held-out part may be too small for that. */
const resolveBestModelChoice = ({ settings, task }: RunOptions, { heldOut, evaluation }: RunData): Settings => {
  const isTooSmall = heldOut && task.metricForBestModel === undefined && evaluation.examples.length < leastChoosingRows.value
  return { ...settings, loadBestModelAtEnd: settings.loadBestModelAtEnd ?? !isTooSmall }
}

/** The learning rate, where the user leaves it to the method and the model. */
const withLearningRate = (options: RunOptions, { taskType, train }: RunData, base: ModelFolder, outputs: ModelOutputs): RunOptions => {
  const { settings } = options
  const isProbed = () => wantsProbe(base, settings, outputs, findFormat(findMethod(settings.method)))
  const isSized = taskType.name === 'causal' || (train.examples.length >= mostFoldedRows.value && isProbed())
  const size = isSized ? base.model.spec.hiddenSize : null
  return { ...options, settings: { ...settings, learningRate: peakLearningRate(settings, size) } }
}

const warning = (message: string): FinetuneEvent => ({ kind: 'warning', message })

// Data

/** A task whose lists of examples belong to the run, which may empty them. */
export type RunData = Omit<LoadedTask, 'train' | 'evaluation' | 'test'> &
  Pick<TaskData, 'metric'> & {
    readonly train: OwnedDataset
    readonly evaluation: OwnedDataset
    readonly test?: OwnedDataset
  }
type OwnedDataset = Dataset & { readonly examples: Example[] }

/** Loads the task, with a line on skipped rows. @throws InputError; also for class names that no file can hold */
async function* loadData(options: RunOptions, metric: LoadedMetric | null, machine: Machine): AsyncGenerator<FinetuneEvent, RunData> {
  yield { kind: 'preparing', what: `reading ${options.task.task}` }
  const loaded = await machine.loadTask(options.task)
  const task = metric === null ? loaded : withMetric(loaded, metric, options.task.metricForBestModel === undefined)
  const { train, evaluation, test, ...rest } = task
  for (const { source, skipped } of [train, evaluation, ...(test === undefined ? [] : [test])]) {
    const [first] = skipped
    if (first !== undefined)
      yield { kind: 'preparing', what: `${source}: skipped ${skipped.length} rows; the first is row ${first.row} (${first.reason})` }
  }
  if (task.labelNames !== null) checkLabelNames(task.labelNames, train.source)
  if (options.samplePrompts !== undefined) checkGenerates(task.taskType, options.task, options.samplePrompts)
  const copied = (dataset: Dataset): OwnedDataset => ({ ...dataset, examples: [...dataset.examples] })
  return { ...rest, train: copied(train), evaluation: copied(evaluation), ...(test === undefined ? {} : { test: copied(test) }) }
}

/** @throws InputError for class weights that the task type does not have */
export const bindTask = (
  data: LoadedTask,
  { classWeights, contrast = null }: Pick<Settings, 'classWeights'> & Partial<Pick<Settings, 'contrast'>>,
): BoundTask => {
  const { taskType, labelNames, train, scalesScores, softTemperature } = data
  const labels = (): readonly number[] => train.examples.map(({ label }) => label)
  if (classWeights !== null && taskType.refuses.classWeights !== undefined)
    throw inputError(option('classWeights'), taskType.refuses.classWeights, quoted(classWeights))
  const weights = classWeights === null ? {} : { classWeights: parseClassWeights(classWeights, labelNames ?? [], labels()) }
  const scale = classWeights === null && scalesScores === true ? { scoreScale: fitScoreScale(labels()) } : {}
  const soft = softTemperature === undefined ? {} : { softTemperature }
  return bindWithMetric(data, { ...weights, ...scale, ...soft, ...(contrast === null || contrast === 0 ? {} : { contrast }) })
}

/** What is computed from the texts themselves, which do not outlive their tokens. */
const describeData = async (options: RunOptions, data: RunData, task: BoundTask, base: ModelFolder, isFolded: boolean) => {
  const { taskType, labelNames, heldOut, train, evaluation, test } = data
  const keys = computeRowKeys(data)
  const files = train.files === undefined ? {} : { files: train.files }
  const details = detailsFrom(task, evaluation.examples)
  const card: CardData = {
    ...{ taskType, labelNames, heldOut },
    train: { source: train.source, ...files },
    evaluation: { source: evaluation.source, ...(heldOut ? files : {}) },
    test: test === undefined ? null : { source: test.source },
  }
  return {
    score: (answers: readonly Answer[]) => ({ ...task.score(answers), details: details(answers) }),
    report: buildDataReport(data, keys, options.settings, isFolded),
    rows: encodeRunRows(data, keys),
    inputs: await runInputs(base, data, options.adapter),
    card,
  }
}

/** test: null without test data */
type Tokenized = {
  readonly training: Examples<TrainingExample>
  readonly evaluation: Examples<TrainingExample>
  readonly test: Examples<TrainingExample> | null
  readonly warnings: readonly string[]
}

/** Tokenizes the data and empties its lists, so that a large file's texts are released on the way. @throws InputError */
export async function* tokenize(
  { train, evaluation, test }: RunData,
  task: Pick<BoundTask, 'tokenizer'>,
  base: ModelFolder,
  { maxLength }: Pick<Settings, 'maxLength'>,
): AsyncGenerator<FinetuneEvent, Tokenized> {
  const sets = [train, evaluation, ...(test === undefined ? [] : [test])]
  const sources = [...new Set(sets.map(({ source }) => source))].join(' and ')
  const count = sets.reduce((sum, { examples }) => sum + examples.length, 0)
  yield { kind: 'preparing', what: `tokenizing ${count.toLocaleString('en-US')} examples of ${sources}` }
  const tokenizer = await task.tokenizer(base, maxLength)
  let done = 0
  const drain = function* (examples: Example[]): Generator<Example> {
    examples.reverse()
    for (let example = examples.pop(); example !== undefined; example = examples.pop()) {
      yield example
      reportTokenizing({ done: ++done, examples: count })
    }
  }
  return {
    training: tokenizer.training(drain(train.examples)),
    evaluation: tokenizer.evaluation(drain(evaluation.examples)),
    test: test === undefined ? null : tokenizer.evaluation(drain(test.examples)),
    warnings: tokenizer.warnings(),
  }
}

/** The report on the data, and a warning of each finding that matters. */
function* reportData(report: DataReport): Generator<FinetuneEvent, void> {
  yield { kind: 'data', ...report }
  for (const { message, warns } of report.findings) if (warns) yield warning(message)
}

// Model

type Place = { readonly machine: Machine; readonly device: Device; readonly precision: Precision }

/** The base model with the run's new tokens. @throws InputError if it cannot do the task; SettingsError if the settings do not fit it */
async function* openModel(
  options: RunOptions,
  { taskType, train }: RunData,
  outputs: ModelOutputs,
  place: Place,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, RunTokens & { readonly revision: string | null }> {
  yield { kind: 'preparing', what: `opening ${options.model}` }
  const { model, revision } = await place.machine.openModel(options, signal)
  await checkModel(model, options, taskType, outputs, place)
  yield* checkSettings(options.settings, model, train.examples.length, place)
  const format = findFormat(findMethod(options.settings.method))
  const base = wantsProbe(model, options.settings, outputs, format) ? { ...model, model: sentenceEncoder(model.model) } : model
  return { ...(await runTokens(base, options.settings, outputs)), revision }
}

/** @throws InputError if the model is too large, not finite, or cannot do the task */
const checkModel = async (
  base: ModelFolder,
  { task }: RunOptions,
  taskType: Pick<TaskType, 'checkModel'>,
  outputs: ModelOutputs,
  { device, precision }: Place,
): Promise<void> => {
  taskType.checkModel?.(base.model, task.task)
  const card = (await device.card?.()) ?? null
  checkWeightsFit(precision, base, Math.min(memoryLimit(), card?.memoryBytes ?? Infinity))
  const frozen = [...frozenHead(base, outputs)].map(([name, { shape }]) => [name, shape] as const)
  await checkFinite(base, [...selectHead(base.model, outputs).tensors, ...frozen])
}

/** @throws SettingsError if the settings do not fit the model, the method or the precision */
async function* checkSettings(
  settings: Settings,
  base: ModelFolder,
  examples: number,
  { device, precision }: Place,
): AsyncGenerator<FinetuneEvent, void> {
  const method = findMethod(settings.method)
  runLength(method, settings, base.model, examples)
  const trained = method.train.tensors(startPhase(method, base.model.spec, settings), settings).map(({ name }) => name)
  precision.check?.(new Set(trained), base, method.name)
  const speedup = (await precision.speedup?.(device)) ?? Infinity
  if (speedup < 1)
    yield warning(`products in ${precision.name} run at ${speedup.toFixed(2)} of float32's rate on this processor: float32 is faster here`)
}

/** Model, method, precision and objective in one; the weights stay where the precision put them. */
async function* assembleRun(base: ModelFolder, settings: Settings, tokens: RunTokens['tokens'], precision: Precision, task: BoundTask) {
  const method = withTrainedTokens(findMethod(settings.method), tokens)
  const frozen = yield* asPreparing(precision.open(base))
  const parts = { model: base.model, frozen: frozen.tensor, method, settings, precision }
  const { weights, check: checkWeights } = watchedWeights(frozen.weights)
  return { assembly: { ...assemble(parts, (model) => task.objective(model, method)), settings }, weights, checkWeights }
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
  assembly: RunAssembly,
  base: ModelFolder,
  labelNames: readonly string[] | null,
): AsyncGenerator<FinetuneEvent, { readonly start: RunState; readonly hasHead: boolean }> {
  const drawn = await initializeRun(assembly, checkpointNumbers(base))
  if (adapter === undefined) return { start: drawn, hasHead: false }
  const read = await readAdapter(adapter, await addAdapterTokens(adapter, base), base.storage)
  const { state, withHead } = warmStart(assembly, drawn, read, labelNames ?? undefined, words`${option('adapter')} ${adapter}`)
  if (!withHead)
    yield warning(
      `${adapter}: its head is not of the task's classes; the run begins with another${spellingRemedy(read.labelNames, labelNames)}`,
    )
  return { start: state, hasHead: withHead }
}

/** The base model with the adapter's new tokens and whole modules. @throws SettingsError if the run numbers them in another way */
const addAdapterTokens = async (adapter: string, base: ModelFolder): Promise<ModelFolder> => {
  const { added: ours } = base
  const extended = await baseOfAdapter(adapter, ours?.plain ?? base, base.storage)
  if (extended.whole !== undefined) return extended // which a run does not begin with
  const theirs = extended.added?.tokens ?? []
  if (theirs.every((token, i) => token === ours?.tokens[i])) return extended
  const names = theirs.map((token) => quoted(token)).join(', ')
  throw new SettingsError('newTokens', `${names} first, as the adapter has them`, formatValue(ours?.tokens ?? null))
}

/** How to keep the adapter's head if its classes are the task's, spelled in another way. */
const spellingRemedy = (theirs: readonly string[] | undefined, ours: readonly string[] | null): string => {
  const name = theirs === undefined || ours === null ? null : respelled(theirs, ours)
  if (name === null) return ''
  const labels =
    name.as === 'number' ? 'write the labels in the data as the adapter does, with --labels-as-text' : 'rename the labels in the data'
  return `. The classes differ only in ${name.as === 'number' ? 'how numbers are written' : 'case'}: ${quoted(name.first)} in the adapter, ${quoted(name.second)} in the data. To keep its head, ${labels}`
}

// Folder

const toSources = ({ facts: { device, revision }, rows, inputs, plan: { steps } }: PreparedRun): RunSources => ({
  device,
  revision,
  rows,
  inputs,
  steps,
})

/** The steps by which the method plans its phases: a run that is made longer keeps its plan. */
const countPlannedSteps = ({ plan }: PreparedRun, { extended }: RunFolder): number => extended[0]?.steps ?? plan.steps

function* warnOfMethod(run: PreparedRun, folder: RunFolder): Generator<FinetuneEvent, void> {
  const { method, settings } = run.task
  const progress = { step: 0, steps: countPlannedSteps(run, folder) }
  for (const message of method.reporting?.warnings?.(settings, progress) ?? []) yield warning(message)
}

/** The state to resume from; null: step 0. Warns of everything that is not as the run left it. @throws InputError if it is another run's */
async function* readCheckpoint(run: PreparedRun, folder: RunFolder): AsyncGenerator<FinetuneEvent, Checkpoint | null> {
  const { options, plan, start, task, base } = run
  const { output, resume, settings } = options
  const damaged: string[] = []
  const fingerprint = { now: folder.fingerprint, ended: folder.ended, defaults: earlierDefaults(settings) }
  const outline = runOutline(task, { start, steps: plan.steps, plannedSteps: countPlannedSteps(run, folder), fingerprint })
  const newest = resume ? await newestCheckpoint(folder.checkpoints, outline, (message) => void damaged.push(message), base.storage) : null
  const extension = folder.extended.at(-1)
  const isExtended = extension !== undefined && newest?.state.step === extension.after
  if (isExtended) {
    const { steps, after } = extension
    yield warning(
      `${output}: the run had ended after step ${after}${after < steps ? ` of ${steps}` : ''} and continues to step ${plan.steps}. It differs from a run of ${plan.steps} steps: its learning rate rises again, and its phases are over`,
    )
  }
  for (const message of damaged) yield warning(message)
  if (resume && newest === null) yield warning(`${folder.checkpoints}: no checkpoint to resume from; starting at step 0`)
  if (folder.otherVersions.length > 0)
    yield warning(`${output}: ${folder.otherVersions.join('; ')}; the run's bits may differ from here on`)
  if (folder.newSettings.length > 0)
    yield warning(`${output}: began before there was ${folder.newSettings.join(', ')}: these are the defaults of this version`)
  return isExtended ? { ...newest, sinceBest: 0 } : newest
}

/** Makes the first change to the folder. */
async function* beginLog(
  { options: { output } }: PreparedRun,
  folder: RunFolder,
  checkpoint: Checkpoint | null,
): AsyncGenerator<FinetuneEvent, MetricsLog> {
  const log = await folder.begin(checkpoint?.metricsLines ?? 0)
  if (log.missing > 0)
    yield warning(
      `${joinPath(output, 'metrics.jsonl')}: expected ${checkpoint?.metricsLines} lines of the steps before the checkpoint, got ${log.missing} fewer`,
    )
  return log
}

// Training

/** answersByStep: of the folds; undefined: the model in training answers */
type Begun = {
  readonly start: RunState
  readonly training: Examples<TrainingExample>
  readonly answersByStep: AnswersByStep | undefined
}

/** The state before the next step, with a probe as its head at first if there is one, and what the folds answer. */
async function* beginTraining(
  prepared: PreparedRun,
  checkpoint: Checkpoint | null,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, Begun> {
  const { task, probe, folds, base, options } = prepared
  const stored = folds === null ? undefined : await readFolds(options.output, folds, listEvaluations(prepared), base.storage)
  const isComplete = checkpoint !== null && stored !== null
  const run = { ...prepared, start: isComplete ? prepared.start : yield* rankByInputs(prepared) }
  const { start } = run
  const probed = probe === undefined || isComplete ? null : { assembly: task, runtime: task.runtime, probe }
  if (probed !== null) {
    const count = Math.min(task.training.length, mostProbed)
    yield { kind: 'preparing', what: `fitting the head to features of ${count.toLocaleString('en-US')} examples` }
  }
  const features = probed === null ? null : await computeFeatures(probed, task.training, start, signal)
  const fitted = probed === null || features === null ? null : { ...probed, ...features }
  const answersByStep = stored === null ? yield* answerByFolds(run, folds, fitted, signal) : stored
  const first = fitted === null ? start : startFromProbe(fitted, fitted, start)
  return { start: checkpoint?.state ?? first, training: yield* addNegatives(run, checkpoint, signal), answersByStep }
}

/** The start of the run, by EVA if the settings say so. */
async function* rankByInputs({ task, start }: PreparedRun): AsyncGenerator<FinetuneEvent, RunState> {
  if (task.settings.initLoraWeights !== 'eva') return start
  yield { kind: 'preparing', what: 'finding the directions of the inputs of each matrix (EVA)' }
  const ranked = await startFromInputs(task, task.training, start)
  const { batches, isConverged, matrices } = ranked.found
  const ranks = matrices.map(({ r }) => r)
  yield { kind: 'preparing', what: `EVA: ranks from ${Math.min(...ranks)} to ${Math.max(...ranks)} after ${batches} batches` }
  if (!isConverged) yield warning(`EVA: after ${batches} batches, some directions of the inputs still change`)
  return ranked.start
}

/** The examples to train on, with negatives that the model finds as it is before the first step; a resumed run reads those of its beginning. */
async function* addNegatives(
  { task, mining, start, options: { output }, base: { storage } }: PreparedRun,
  checkpoint: Checkpoint | null,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, Examples<TrainingExample>> {
  const { training } = task
  if (mining === undefined || signal.aborted) return training
  const stored = checkpoint === null ? null : await readNegatives(output, training, storage)
  const chosen = stored ?? (yield* mineNegatives({ task, mining }, start, signal))
  if (chosen === null) return training
  if (stored === null) await writeNegatives(output, chosen, storage)
  return mining.attach(training, chosen)
}

/** What the folds answer; nothing if the signal stopped them. */
async function* answerByFolds(
  { task, start, options, base }: PreparedRun,
  folds: Folds | null,
  probed: Parameters<typeof crossValidate>[0]['probed'],
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, AnswersByStep> {
  if (folds === null || signal.aborted) return new Map()
  const answers = yield* crossValidate({ task, start, probed, folds }, signal)
  if (answers === null) return new Map()
  await writeFolds(options.output, folds, answers, base.storage)
  return answers
}

/** The steps at which the run is evaluated. */
const listEvaluations = ({ plan: { steps, evalSteps }, probe }: PreparedRun): readonly number[] => [
  ...(probe === undefined ? [] : [0]),
  ...Array.from({ length: Math.ceil(steps / evalSteps) }, (_, i) => Math.min(steps, (i + 1) * evalSteps)),
]

/** @throws TrainingError, InputError; each names the checkpoint to continue from */
async function* trainAndRecord(
  run: PreparedRun,
  folder: RunFolder,
  log: MetricsLog,
  { start, training: examples, answersByStep, checkpoint }: Begun & { readonly checkpoint: Checkpoint | null },
  leader: Leader | null,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, TrainingResult> {
  const { task, probe, placement } = run
  const spread = leader === null ? {} : { executor: leader.executor, answers: leader.answers }
  const planned = {
    plannedSteps: countPlannedSteps(run, folder),
    evalOnStart: probe === undefined ? folder.evalOnStart : ('candidate' as const),
  }
  const folded = answersByStep === undefined ? {} : { answersByStep }
  const training = train({ ...task, training: examples, ...planned, ...spread, ...folded }, start, checkpoint, signal)
  const fail = async (thrown: unknown): Promise<never> => {
    throw await nameCheckpoint(thrown, run, folder, log)
  }
  for (;;) {
    const next = await training.next().catch(fail)
    if (next.done === true) return next.value
    yield* placement.news()
    await folder.check()
    if (next.value.kind === 'evaluation' || next.value.kind === 'checkpoint') await run.checkWeights().catch(fail)
    yield* record(next.value, run, folder, log)
    for (const news of leader?.events() ?? []) yield news
  }
}

/** Writes an event to the run's files, and passes it on. */
async function* record(
  event: TrainingEvent,
  { options, task, base }: PreparedRun,
  folder: RunFolder,
  log: MetricsLog,
): AsyncGenerator<FinetuneEvent, void> {
  if (event.kind === 'checkpoint') {
    const { kind: _, ...state } = event
    await log.flush()
    const { fingerprint } = folder
    await saveCheckpoint(folder.checkpoints, task.method.name, { ...state, fingerprint, metricsLines: log.lines() }, base.storage)
    yield { kind: 'saved', step: event.state.step }
    return
  }
  if (event.kind === 'evaluation') {
    const { details, ...scored } = event
    const { step, best, eligible, constant } = scored
    const isSaved = best || !eligible || task.settings.loadBestModelAtEnd !== true // the best step, or the last one until there is a best
    if ((step > 0 || best) && isSaved && details != null)
      await writeDetails(options.output, { step, ...(details as Omit<EvaluationDetails, 'step'>) }, base.storage)
    log.append(toMetricsLine(scored))
    if (step > 0 && constant !== null) yield warning(`step ${step}: every example of the evaluation is predicted as ${constant}`)
    yield scored
    return
  }
  if (event.kind !== 'start' && event.kind !== 'evaluating' && event.kind !== 'sampling') log.append(toMetricsLine(event))
  yield event
}

/** The error of a step or an evaluation, with the checkpoint to continue from. The metrics so far are on the disk then. */
const nameCheckpoint = async (error: unknown, run: PreparedRun, { checkpoints }: RunFolder, log: MetricsLog): Promise<unknown> => {
  if (!(error instanceof InputError || error instanceof TrainingError)) return error
  await log.flush()
  const thrown = await run.checkWeights().then(
    () => error,
    (changed: InputError) => changed, // which also explains numbers that are not finite
  )
  const last = await lastCheckpoint(checkpoints, run.base.storage)
  if (thrown instanceof ChangedFileError) {
    const remedy =
      last === null
        ? 'no checkpoint was saved before it'
        : words`restore it, and ${option('resume', true)} continues after step ${last.step}`
    return new ChangedFileError(thrown.mistake.where, thrown.mistake.expected, words`${thrown.mistake.got}: ${remedy}`)
  }
  if (thrown instanceof InputError) {
    // an evaluation, such as by a metric of the user's: the training loop has saved the steps before it
    const remedy = last === null ? '' : words`; step ${last.step} is saved, and ${option('resume', true)} evaluates it again`
    return inputError(thrown.mistake.where, thrown.mistake.expected, words`${thrown.mistake.got}${remedy}`)
  }
  const state = last === null ? 'no checkpoint was saved before it' : `the last good checkpoint is ${last.path}, after step ${last.step}`
  return new TrainingError(words`${thrown.line}; ${state}`)
}

// Result

/** Divides the logits of a kept classifier by a temperature, if rows were held out. */
async function* calibrate(
  run: PreparedRun,
  trained: TrainingResult,
  answersByStep: AnswersByStep | undefined,
): AsyncGenerator<FinetuneEvent, { readonly trained: TrainingResult; readonly calibration: Calibration | null }> {
  const calibrated =
    trained.interrupted || trained.last.step === 0
      ? null
      : await calibrateKept({ ...run, heldOut: run.card.heldOut }, trained, answersByStep)
  if (calibrated === null) return { trained, calibration: null }
  yield { kind: 'calibration', ...calibrated.calibration }
  return calibrated
}

/** Scores the state to keep on the test data, once. `stopped`: by the signal; a resumed run does it again */
async function* scoreOnTest(
  { task, test, facts }: PreparedRun,
  trained: TrainingResult,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, TestScores | null | 'stopped'> {
  if (test === undefined || trained.interrupted || trained.last.step === 0) return null
  const { inference, step } = selectState(task.settings, trained)
  const batches = evaluateState(task, inference, test.examples, test.score)
  for (;;) {
    const next = await batches.next()
    if (next.done === true) {
      const { scores } = next.value
      yield { kind: 'test', step, scores }
      return { step, scores }
    }
    yield { kind: 'evaluating', step: trained.last.step, done: next.value, examples: facts.examples.test ?? next.value }
    if (signal.aborted) {
      await batches.return({ scores: {}, selection: NaN, constant: null }) // closes the session
      return 'stopped'
    }
  }
}

const describeResult = (
  { task, facts, options: { output }, plan: { steps } }: PreparedRun,
  { extended }: RunFolder,
  trained: TrainingResult,
  { test, calibration }: { readonly test: TestScores | null | 'stopped'; readonly calibration: Calibration | null },
  seconds: number,
): RunResult => {
  const interrupted = trained.interrupted || test === 'stopped'
  const { method, settings } = task
  const found = settings.initLoraWeights === 'eva' ? method.reporting?.parameterCounts?.(trained.inference.phase, settings) : {} // its ranks
  const trainableParameters = { ...facts.trainableParameters, ...found }
  return toResult(
    task,
    { ...trained, interrupted },
    { ...facts, trainableParameters },
    {
      output,
      steps,
      seconds,
      extended,
      calibration,
      test: test === 'stopped' ? null : test,
    },
  )
}

/** A run without a step has no adapter. */
const saveAdapter = async (run: PreparedRun, folder: RunFolder, trained: TrainingResult): Promise<void> => {
  const { task, base, outputs, labelNames } = run
  const { inference } = selectState(task.settings, trained)
  await writeAdapter(folder.adapter, toAdapter(task, base, outputs, inference, labelNames), base, base.storage)
}
