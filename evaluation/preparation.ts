/** What a run needs before its first step: data, model, tokens and the state that it starts with. */
import { isLeft } from 'fp-ts/lib/Either.js'
import { precisionOf } from '../accelerated/commonSettings.js'
import { checkpointNumbers, frozenWeights, weightSource } from '../accelerated/files/frozenWeights.js'
import { resolveModel } from '../accelerated/files/hub/hub.js'
import { checkFinite, openModelFolder, type ModelFolder } from '../accelerated/files/modelFolder.js'
import { loadTokenizer } from '../accelerated/files/tokenizer.js'
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
import type { Task } from './data/index.js'
import { describeProblem, loadTask } from './data/index.js'
import { constantPrediction, majorityClass, score, selectionScore } from './metrics/index.js'
import type { FinetuneEvent, FinetuneOptions, RunFacts, Scores } from './run.js'
import { readRunConfig } from './storedRun.js'
import { tokenise } from './tokenisedExamples.js'
import { UserError } from './userError.js'

/** A run's task on the accelerated path: sequences, each with a list of outputs. */
export type SequenceTask = TrainingTask<LabelledExample, ReadonlyArray<number>> & { readonly settings: Settings }

export type PreparedRun = {
  readonly task: SequenceTask
  readonly plan: Plan
  readonly base: ModelFolder
  readonly outputs: Outputs
  readonly labelNames: ReadonlyArray<string> | undefined
  readonly start: RunState
  readonly facts: RunFacts
}

export async function* prepareRun(options: FinetuneOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, PreparedRun> {
  const { settings } = options
  const device = await chooseDevice(settings.device)
  const precision = precisionOf(settings.precision)
  if (device.tolerances[precision.dtype] === undefined)
    throw new SettingsError('precision', 'float32 on this device', `${settings.precision} on ${device.name}`)

  yield { kind: 'preparing', what: `reading ${options.task.task}` }
  const loaded = await loadTask(options.task)
  if (isLeft(loaded)) throw new UserError(describeProblem(loaded.left))
  const data = loaded.right
  for (const { source, skipped } of [data.train, data.evaluation]) {
    const [first] = skipped
    if (first !== undefined)
      yield { kind: 'preparing', what: `${source}: ${skipped.length} rows left out, the first is row ${first.row}: ${first.found}` }
  }

  yield { kind: 'preparing', what: `opening ${options.model}` }
  const outputs: Outputs = { labels: data.labelNames?.length ?? 1, problem: data.problem }
  const { base, revision } = await openBase(options, outputs, signal)
  const method = methodOf(settings.method)
  const plan = planOf(method, settings, base.model, data.train.examples.length)
  const parts = { model: base.model, frozen: frozenWeights(base, precision.dtype), method, settings, precision }
  const assembly = assemble(parts, (model) => sequence(model, outputs))
  const start = await startOfRun(assembly, checkpointNumbers(base))

  yield { kind: 'preparing', what: `tokenising ${data.train.examples.length + data.evaluation.examples.length} examples` }
  const tokenizer = await loadTokenizer(base.folder, base.model)
  const evaluation = tokenise(tokenizer, base.model.vocabularySize, data.evaluation, settings.maxLength)
  const task: SequenceTask = {
    ...assembly,
    settings,
    runtime: { engine: nodeEngine({ device, threads: settings.threads }), weights: weightSource(base) },
    training: tokenise(tokenizer, base.model.vocabularySize, data.train, settings.maxLength),
    evaluation,
    score: scorer(
      data,
      evaluation.map(({ label }) => label),
    ),
  }
  const facts = factsOf(task, base.model, data, outputs, start, device, revision)
  return { task, plan, base, outputs, labelNames: data.labelNames ?? undefined, start, facts }
}

/** The model, at the commit that the run began with. */
const openBase = async (options: FinetuneOptions, { labels }: Outputs, signal: AbortSignal) => {
  const pinned = options.resume ? (await readRunConfig(options.output))?.revision : null
  const resolved = await resolveModel(options.model, { signal, ...(pinned == null ? {} : { revision: pinned }) })
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  await checkFinite(base, base.model.sequenceHead(labels).tensors)
  return { base, revision: resolved.revision }
}

/** Classes by the largest logit; a regression's output as it is. */
export const predictionOf = (problem: Task['problem'], output: ReadonlyArray<number>): number =>
  problem === 'regression' ? (output[0] ?? NaN) : output.reduce((best, x, i) => (x > (output[best] ?? -Infinity) ? i : best), 0)

/** Keeps what it names of the task, and no text. */
const scorer =
  ({ metrics, problem, selectionMetric, labelNames }: Task, labels: ReadonlyArray<number>) =>
  (outputs: ReadonlyArray<ReadonlyArray<number>>) => {
    const predictions = outputs.map((output) => predictionOf(problem, output))
    const scores = score(metrics)(predictions, labels)
    const constant = problem === 'classification' ? constantPrediction(predictions) : null
    return {
      scores: scores as Scores,
      selection: selectionScore(selectionMetric)(scores),
      constant: constant === null ? null : (labelNames?.[constant] ?? String(constant)),
    }
  }

const factsOf = (
  { method, settings }: SequenceTask,
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
    revision,
    examples: { training: data.train.examples.length, evaluation: data.evaluation.examples.length },
    trainableParameters: { ...method.counts?.(phase, settings), head },
    majority: majority === null ? null : { label: data.labelNames?.[majority.label] ?? String(majority.label), share: majority.share },
  }
}
