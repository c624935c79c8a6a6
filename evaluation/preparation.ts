/** What a run needs before its first step: data, model, tokens and the state that it starts with. */
import { precisionOf } from '../accelerated/commonSettings.js'
import { checkDevice, type Precision } from '../accelerated/precisions/precision.js'
import { checkRoom } from '../accelerated/precisions/room.js'
import { checkpointNumbers } from '../accelerated/files/frozenWeights.js'
import { resolveModel } from '../accelerated/files/hub/hub.js'
import { checkFinite, openModelFolder, type ModelFolder } from '../accelerated/files/modelFolder.js'
import { checkLabelNames } from '../accelerated/files/labelNames.js'
import { loadTokenizer } from '../accelerated/files/tokenizer.js'
import { readAdapter } from '../accelerated/formats/index.js'
import { warmStart } from '../accelerated/formats/warmStart.js'
import type { Model } from '../accelerated/models/architecture.js'
import { sequence, type LabelledExample, type Outputs } from '../accelerated/objectives/sequence.js'
import { chooseDevice } from '../accelerated/runtime/deviceProbe.js'
import type { Device } from '../accelerated/runtime/devices/device.js'
import { nodeEngine } from '../accelerated/runtime/node.js'
import { methodOf, type Settings } from '../accelerated/settings.js'
import { SettingsError } from '../accelerated/settingsError.js'
import type { TrainingTask } from '../accelerated/training/events.js'
import { assemble } from '../accelerated/training/assembly.js'
import { planOf, type Plan } from '../accelerated/training/plan.js'
import { startOfRun, type RunState } from '../accelerated/training/state.js'
import { classWeightsOf } from './classWeights.js'
import type { Example, Task } from './data/index.js'
import { majorityClass, scoreOutputs, selectionScore, truthOf } from './metrics/index.js'
import type { FinetuneEvent, FinetuneOptions, RunFacts } from './run.js'
import { runInputs, type RunInputs } from './runFingerprint.js'
import type { CardFacts } from './modelCard.js'
import { runRowsOf } from './runRows.js'
import { readRunConfig } from './storedRun.js'
import { loadTask } from './taskData.js'
import { tokenise } from './tokenisedExamples.js'

/** A run's task on the accelerated path: sequences, each with a list of outputs. */
export type SequenceTask = TrainingTask<LabelledExample, ReadonlyArray<number>> & { readonly settings: Settings }

export type PreparedRun = {
  readonly task: SequenceTask
  readonly plan: Plan
  readonly base: ModelFolder
  readonly outputs: Outputs
  readonly labelNames: ReadonlyArray<string> | undefined
  readonly start: RunState
  readonly rows: string
  /** the data in words, without a text of it */
  readonly data: CardFacts['data']
  readonly inputs: RunInputs
  readonly facts: RunFacts
}

export async function* prepareRun(options: FinetuneOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, PreparedRun> {
  const { settings } = options
  const device = await chooseDevice(settings.device)
  const precision = precisionOf(settings.precision)
  checkDevice(precision, device)

  yield { kind: 'preparing', what: `reading ${options.task.task}` }
  const data = withOwnLists(await loadTask(options.task))
  for (const { source, skipped } of [data.train, data.evaluation]) {
    const [first] = skipped
    if (first !== undefined)
      yield { kind: 'preparing', what: `${source}: ${skipped.length} rows left out, the first is row ${first.row}: ${first.found}` }
  }

  yield { kind: 'preparing', what: `opening ${options.model}` }
  if (data.labelNames !== null) checkLabelNames(data.labelNames, data.train.source)
  const outputs: Outputs = { labels: data.labelNames?.length ?? 1, problem: data.problem }
  const { base, revision } = await openBase(options, outputs, precision, signal)
  const method = methodOf(settings.method)
  const plan = planOf(method, settings, base.model, data.train.examples.length)
  const trained = method.tensors(method.start(base.model.outline, settings), settings).map(({ name }) => name)
  precision.check?.(new Set(trained), base, method.name)
  const advantage = (await precision.advantage?.(device, settings.threads)) ?? Infinity
  if (advantage < 1)
    yield {
      kind: 'warning',
      message: `products in ${precision.name} run at ${advantage.toFixed(2)} of float32's rate on this processor: float32 is faster here`,
    }
  const frozen = yield* preparing(precision.open(base))
  const parts = { model: base.model, frozen: frozen.tensor, method, settings, precision }
  const labels = data.train.examples.map(({ label }) => label)
  if (settings.classWeights !== null && data.problem === 'multi-label')
    throw new SettingsError('classWeights', 'none with problem multi-label', settings.classWeights)
  const weights = classWeightsOf(settings.classWeights, data.labelNames, labels)
  const assembly = assemble(parts, (model) => sequence(model, outputs, weights))
  const cold = await startOfRun(assembly, checkpointNumbers(base))
  const start = yield* beginning(options.adapter, { ...assembly, settings }, cold, base, data.labelNames)

  const facts = factsOf(assembly, settings, base.model, data, outputs, start, device, revision)
  const [rows, words, score] = [runRowsOf(data), inWords(data), scorer(data, data.evaluation.examples.map(truthOf))]
  const inputs = await runInputs(base, data, options.adapter)

  yield { kind: 'preparing', what: `tokenising ${data.train.examples.length + data.evaluation.examples.length} examples` }
  const tokenizer = await loadTokenizer(base.folder, base.model)
  const tokens = (examples: Iterable<Example>) => tokenise(tokenizer, base.model.vocabularySize, examples, settings.maxLength)
  const task: SequenceTask = {
    ...assembly,
    settings,
    runtime: { engine: nodeEngine({ device, threads: settings.threads }), weights: frozen.weights },
    training: tokens(lettingGo(data.train)),
    evaluation: tokens(lettingGo(data.evaluation)),
    score,
  }
  return {
    task,
    plan,
    base,
    outputs,
    labelNames: data.labelNames ?? undefined,
    start,
    rows,
    data: words,
    inputs,
    facts,
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

const inWords = ({ problem, labelNames, heldOut, train, evaluation }: Task): CardFacts['data'] => ({
  ...{ problem, labelNames, heldOut },
  train: { source: train.source },
  evaluation: { source: evaluation.source },
})

/** The model, at the commit that the run began with. */
const openBase = async (options: FinetuneOptions, { labels }: Outputs, precision: Precision, signal: AbortSignal) => {
  const pinned = options.resume ? (await readRunConfig(options.output))?.revision : null
  const resolved = await resolveModel(options.model, { signal, ...(pinned == null ? {} : { revision: pinned }) })
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  checkRoom(precision, base)
  await checkFinite(base, base.model.sequenceHead(labels).tensors)
  return { base, revision: resolved.revision }
}

/** Keeps what it names of the task, and no text. */
const scorer = (
  { metrics, problem, positive, selectionMetric, labelNames }: Task,
  labels: ReadonlyArray<ReturnType<typeof truthOf>>,
): SequenceTask['score'] => {
  const scoring = { metrics, problem, selectionMetric, ...(positive === undefined ? {} : { positive }) }
  return (outputs) => {
    const { scores, constant } = scoreOutputs(scoring, outputs, labels)
    return {
      scores,
      selection: selectionScore(selectionMetric, metrics)(scores),
      constant: constant === null ? null : (labelNames?.[constant] ?? String(constant)),
    }
  }
}

const factsOf = (
  { method }: Pick<SequenceTask, 'method'>,
  settings: Settings,
  model: Model,
  data: Task,
  outputs: Outputs,
  { phase }: RunState,
  device: Device,
  revision: string | null,
): RunFacts => {
  const size = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)
  const majority = data.problem === 'classification' ? majorityClass(data.evaluation.examples.map(({ label }) => label)) : null
  const head = [...model.sequenceHead(outputs.labels).tensors.values()].reduce((sum, shape) => sum + size(shape), 0)
  return {
    device: device.name,
    precision: settings.precision,
    revision,
    examples: { training: data.train.examples.length, evaluation: data.evaluation.examples.length },
    trainableParameters: { ...method.counts?.(phase, settings), head },
    selectedBy: data.selectionMetric === 'mean' ? `the mean of ${data.metrics.join(' and ')}` : data.selectionMetric,
    ...(data.positive === undefined ? {} : { positive: data.labelNames?.[data.positive] ?? String(data.positive) }),
    majority: majority === null ? null : { label: data.labelNames?.[majority.label] ?? String(majority.label), share: majority.share },
  }
}
