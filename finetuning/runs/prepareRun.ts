/** What a run needs before its first step: data, model, tokens and the state that it starts with. */
import { startPhase } from '../../accelerated/methods/startPhase.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { checkDevice, type Precision } from '../../accelerated/precisions/precision.js'
import { checkWeightsFit } from '../../accelerated/precisions/memoryCheck.js'
import { checkpointNumbers } from '../../accelerated/checkpoints/frozenWeights.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { checkFinite } from '../../accelerated/checkpoints/finiteWeights.js'
import { frozenHead, openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { checkLabelNames } from '../../accelerated/checkpoints/labelNames.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { warmStart } from '../../accelerated/formats/warmStart.js'
import type { Examples, TokenizedExample } from '../../accelerated/models/packing.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'
import { headOf, type TaskOutputs } from '../../accelerated/objectives/taskType.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { methodOf, type Settings } from '../../accelerated/training/settings.js'
import type { TrainingEvent, TrainingResult, TrainingTask } from '../../accelerated/training/events.js'
import type { RunProgress } from '../../accelerated/parameters/runState.js'
import { assemble, type Assembly } from '../../accelerated/training/assembly.js'
import { runLength, type RunLength } from '../../accelerated/training/runLength.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { startOfRun } from '../../accelerated/training/initialState.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import type { Example } from '../data/index.js'
import type { Task } from '../tasks/index.js'
import type { AnyTaskAdapter, TaskAdapter } from '../tasks/taskAdapter.js'
import type { FinetuneEvent, FinetuneOptions, RunFacts } from './run.js'
import { runInputs, type RunInputs } from './runFingerprint.js'
import type { CardFacts } from './modelCard.js'
import { runRowsOf } from './runRows.js'
import { classificationTask } from '../tasks/classificationTask.js'
import { readRunConfig } from './runFiles.js'
import { loadTask } from '../tasks/loadTask.js'
import { checkDecoder, languageModelTask } from '../tasks/languageModelTask.js'

/** What of a run's task does not depend on the kind of its examples. */
export type RunTask = Assembly & { readonly settings: Settings }

export type PreparedRun = {
  readonly task: RunTask
  readonly examples: { readonly training: Examples<TokenizedExample>; readonly evaluation: Examples<TokenizedExample> }
  readonly plan: RunLength
  readonly base: ModelFolder
  readonly outputs: TaskOutputs
  readonly labelNames: ReadonlyArray<string> | undefined
  readonly start: RunState
  readonly rows: string
  /** the data in words, without a text of it */
  readonly data: CardFacts['data']
  readonly inputs: RunInputs
  readonly facts: RunFacts
  /** the run from a state: what train does with the task */
  readonly train: (
    more: Pick<TrainingTask, 'plannedSteps' | 'evalOnStart'>,
    ...from: [start: RunState, resumed: RunProgress | null, signal: AbortSignal]
  ) => AsyncGenerator<TrainingEvent, TrainingResult>
}

export async function* prepareRun(options: FinetuneOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, PreparedRun> {
  const { settings } = options
  const device = await chooseDevice(settings.device)
  const precision = precisionOf(settings.precision)
  await checkDevice(precision, device)

  yield { kind: 'preparing', what: `reading ${options.task.task}` }
  const data = withOwnLists(await loadTask(options.task))
  for (const { source, skipped } of [data.train, data.evaluation]) {
    const [first] = skipped
    if (first !== undefined)
      yield { kind: 'preparing', what: `${source}: ${skipped.length} rows left out, the first is row ${first.row}: ${first.found}` }
  }
  return yield* goalOf(data, options)((goal) => prepared(options, data, goal, { device, precision, signal }))
}

const goalOf = (data: Task, { task, settings }: FinetuneOptions): AnyTaskAdapter =>
  data.taskType === 'causal' ? (use) => use(languageModelTask(data, task, settings)) : (use) => use(classificationTask(data, settings))

async function* prepared<E extends TrainingExample, O>(
  options: FinetuneOptions,
  data: ReturnType<typeof withOwnLists>,
  goal: TaskAdapter<E, O>,
  { device, precision, signal }: { readonly device: Device; readonly precision: Precision; readonly signal: AbortSignal },
): AsyncGenerator<FinetuneEvent, PreparedRun> {
  const { settings } = options
  const { outputs } = goal
  yield { kind: 'preparing', what: `opening ${options.model}` }
  if (data.labelNames !== null) checkLabelNames(data.labelNames, data.train.source)
  const { base, revision } = await openBase(options, outputs, precision, signal)
  const method = methodOf(settings.method)
  runLength(method, settings, base.model, data.train.examples.length)
  const trained = method.train.tensors(startPhase(method, base.model.spec, settings), settings).map(({ name }) => name)
  precision.check?.(new Set(trained), base, method.name)
  const speedup = (await precision.speedup?.(device, settings.threads)) ?? Infinity
  if (speedup < 1)
    yield {
      kind: 'warning',
      message: `products in ${precision.name} run at ${speedup.toFixed(2)} of float32's rate on this processor: float32 is faster here`,
    }
  const frozen = yield* preparing(precision.open(base))
  const parts = { model: base.model, frozen: frozen.tensor, method, settings, precision }
  const assembly = assemble(parts, (model) => goal.objective(model, method))
  const cold = await startOfRun(assembly, checkpointNumbers(base))
  const start = yield* beginning(options.adapter, { ...assembly, settings }, cold, base, data.labelNames)

  const [rows, words] = [runRowsOf(data), inWords(data)]
  const facts = factsOf(assembly, settings, data, goal, start, device, revision)
  const inputs = await runInputs(base, data, options.adapter)

  const sources = [...new Set([data.train.source, data.evaluation.source])].join(' and ')
  yield { kind: 'preparing', what: `tokenizing ${data.train.examples.length + data.evaluation.examples.length} examples of ${sources}` }
  const tokenizer = await goal.tokenizer(base, settings)
  const task: TrainingTask<E, O> & RunTask = {
    ...assembly,
    settings,
    runtime: { engine: device.engine({ threads: settings.threads }), weights: frozen.weights },
    training: tokenizer.training(lettingGo(data.train)),
    evaluation: tokenizer.evaluation(lettingGo(data.evaluation)),
    score: goal.score,
  }
  for (const message of tokenizer.warnings()) yield { kind: 'warning', message }
  return {
    task,
    examples: task,
    plan: runLength(method, settings, base.model, task.training.length), // of packed texts, rows
    base,
    outputs,
    labelNames: data.labelNames ?? undefined,
    start,
    rows,
    data: words,
    inputs,
    facts,
    train: (more, ...from) => train({ ...task, ...more }, ...from),
  }
}

/** A task whose lists of examples nobody else has. */
const withOwnLists = ({ train, evaluation, ...task }: Task) => ({
  ...task,
  train: { ...train, examples: [...train.examples] },
  evaluation: { ...evaluation, examples: [...evaluation.examples] },
})

/** The examples of a list, which is then empty: of a large file the texts are let go of while it becomes tokens. */
function* lettingGo({ examples }: { readonly examples: Example[] }): Generator<Example> {
  examples.reverse()
  for (let example = examples.pop(); example !== undefined; example = examples.pop()) yield example
}

/** What an opening yields, as what the run prepares. */
async function* preparing<T>(opening: AsyncGenerator<string, T>): AsyncGenerator<FinetuneEvent, T> {
  for (;;) {
    const next = await opening.next()
    if (next.done === true) return next.value
    yield { kind: 'preparing', what: next.value }
  }
}

/** The state to begin with: where an adapter was named, its numbers. */
async function* beginning(
  adapter: string | undefined,
  run: Parameters<typeof warmStart>[0],
  cold: RunState,
  base: ModelFolder,
  labelNames: ReadonlyArray<string> | null,
): AsyncGenerator<FinetuneEvent, RunState> {
  if (adapter === undefined) return cold
  const { state, withHead } = warmStart(run, cold, await readAdapter(adapter, base), labelNames ?? undefined, `--adapter ${adapter}`)
  if (!withHead) yield { kind: 'warning', message: `${adapter}: its head is not of the task's classes; the run begins with another` }
  return state
}

const inWords = ({ taskType, labelNames, heldOut, train, evaluation }: Task): CardFacts['data'] => ({
  ...{ taskType, labelNames, heldOut },
  train: { source: train.source },
  evaluation: { source: evaluation.source },
})

/** The model, at the commit that the run began with. */
const openBase = async (options: FinetuneOptions, outputs: TaskOutputs, precision: Precision, signal: AbortSignal) => {
  const pinned = options.resume ? (await readRunConfig(options.output))?.revision : null
  const resolved = await resolveModel(options.model, { signal, ...(pinned == null ? {} : { revision: pinned }) })
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  if (outputs.taskType === 'causal') checkDecoder(base.model, options.task.task)
  checkWeightsFit(precision, base)
  const frozen = [...frozenHead(base, outputs)].map(([name, { shape }]) => [name, shape] as const)
  await checkFinite(base, [...headOf(base.model, outputs).tensors, ...frozen])
  return { base, revision: resolved.revision }
}

const factsOf = (
  { method, model }: Pick<Assembly, 'method' | 'model'>,
  settings: Settings,
  data: Task,
  { outputs, majority }: Pick<TaskAdapter<TrainingExample, unknown>, 'outputs' | 'majority'>,
  { phase }: RunState,
  device: Device,
  revision: string | null,
): RunFacts => {
  const size = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)
  const head = [...headOf(model, outputs, method).tensors.values()].reduce((sum, shape) => sum + size(shape), 0)
  return {
    taskType: outputs.taskType,
    device: device.name,
    precision: settings.precision,
    revision,
    examples: { training: data.train.examples.length, evaluation: data.evaluation.examples.length },
    trainableParameters: { ...method.reporting?.parameterCounts?.(phase, settings), ...(head === 0 ? {} : { head }) },
    selectedBy: data.selectionMetric === 'mean' ? `the mean of ${data.metrics.join(' and ')}` : data.selectionMetric,
    ...(data.positive === undefined ? {} : { positive: data.labelNames?.[data.positive] ?? String(data.positive) }),
    majority,
  }
}
