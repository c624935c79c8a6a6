/** A fine-tuning run from a model's name and a task's name to a folder on disk: load, tokenise, train, save. Runs in any thread. */
import { join } from 'node:path'
import { isLeft } from 'fp-ts/lib/Either.js'
import type { Adapter } from '../accelerated/formats/peft/adapter.js'
import { saveAdapter } from '../accelerated/formats/peft/peft.js'
import { resolveModel } from '../accelerated/files/hub/hub.js'
import type { ModelFolder } from '../accelerated/files/modelFolder.js'
import { checkFinite, openModelFolder } from '../accelerated/files/modelFolder.js'
import { headTensorShapes } from '../accelerated/models/encoderConfig.js'
import { frozenWeights, weightFiles } from '../accelerated/files/frozenWeights.js'
import { tensorOf } from '../accelerated/training/parameterVector.js'
import { chooseDevice } from '../accelerated/runtime/deviceProbe.js'
import type { Device } from '../accelerated/runtime/devices.js'
import type { Settings } from '../accelerated/settings.js'
import { SettingsError } from '../accelerated/settings.js'
import type { Tokenizer } from '../accelerated/files/tokenizer.js'
import { loadTokenizer } from '../accelerated/files/tokenizer.js'
import { lastCheckpoint, newestCheckpoint, saveCheckpoint } from '../accelerated/training/checkpointFile.js'
import type { RunState } from '../accelerated/training/runState.js'
import { deterministicParameters, layoutOf, scaleOf } from '../accelerated/training/runState.js'
import { startOfRun } from '../accelerated/training/startOfRun.js'
import type { TrainingResult } from '../accelerated/training/train.js'
import { planOf, train, TrainingError } from '../accelerated/training/train.js'
import type { LabelledExample } from '../accelerated/training/trainFeeds.js'
import type { Dataset, Task } from './data/index.js'
import { describeProblem, loadTask } from './data/index.js'
import { constantPrediction, majorityClass, score, selectionScore } from './metrics/index.js'
import type { FinetuneEvent, FinetuneOptions, RunFacts, RunResult, Scores } from './run.js'
import type { MetricsLog } from './metricsLog.js'
import type { RunFolder } from './runFolder.js'
import { openRunFolder } from './runFolder.js'
import { readRunConfig } from './storedRun.js'

/** A mistake in what the user gave: its message is the one line to show. */
export class UserError extends Error {}

export async function* finetuneJob(options: FinetuneOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunResult> {
  const began = performance.now()
  const { settings } = options
  const device = await chooseDevice(settings.device)
  if (settings.precision === 'float64' && device !== 'cpu')
    throw new SettingsError('precision', 'expected float32 on this device', `float64 on ${device}`)

  yield { kind: 'preparing', what: `reading ${options.task.task}` }
  const loaded = loadTask(options.task)
  if (isLeft(loaded)) throw new UserError(describeProblem(loaded.left))
  const task = loaded.right
  for (const { source, skipped } of [task.train, task.evaluation])
    if (skipped.length > 0)
      yield {
        kind: 'preparing',
        what: `${source}: ${skipped.length} rows left out, the first is row ${skipped[0]?.row}: ${skipped[0]?.found}`,
      }

  yield { kind: 'preparing', what: `opening ${options.model}` }
  const pinned = options.resume ? (await readRunConfig(options.output))?.revision : null
  const resolved = await resolveModel(options.model, { signal, ...(pinned == null ? {} : { revision: pinned }) })
  const outputs = { labels: task.labelNames?.length ?? 1, problem: task.problem }
  const model = await openModelFolder(resolved.folder, { outputs, baseModelName: resolved.baseModelName })
  await checkFinite(model)
  const { steps } = planOf(settings, model.config, task.train.examples.length)
  const start = await startOfRun(model, settings)

  yield { kind: 'preparing', what: `tokenising ${task.train.examples.length + task.evaluation.examples.length} examples` }
  const tokenizer = await loadTokenizer(model.folder, model.config)
  const [training, evaluation] = [
    tokenise(tokenizer, task.train, settings.maxLength),
    tokenise(tokenizer, task.evaluation, settings.maxLength),
  ]

  const folder = await openRunFolder(options, device, resolved.revision) // last: a mistake found before leaves nothing behind
  const facts = factsOf(model, task, start, device, resolved.revision)
  yield { kind: 'ready', ...facts }
  const damaged: string[] = []
  const checkpoint = options.resume
    ? await newestCheckpoint(
        folder.checkpoints,
        { config: model.config, dtype: settings.precision, steps, modules: start.modules },
        (message) => damaged.push(message),
      )
    : null
  for (const message of damaged) yield { kind: 'warning', message }
  if (options.resume && checkpoint === null)
    yield { kind: 'warning', message: `${folder.checkpoints}: no checkpoint to resume from; starting at step 0` }
  if (folder.otherVersions.length > 0)
    yield {
      kind: 'warning',
      message: `${options.output}: ${folder.otherVersions.join('; ')}; the run may not end in the bits it would have had`,
    }
  const log = await folder.begin(checkpoint?.metricsLines ?? 0)
  if (log.missing > 0)
    yield {
      kind: 'warning',
      message: `${join(options.output, 'metrics.jsonl')}: expected ${checkpoint?.metricsLines} lines of the steps before the checkpoint, found ${log.missing} fewer`,
    }

  const run = train(
    {
      config: model.config,
      frozen: frozenWeights(model, settings.precision),
      settings,
      training,
      evaluation,
      session: { device, threads: settings.threads, weightFiles: await weightFiles(model) },
      score: scorer(
        task,
        evaluation.map(({ label }) => label),
      ),
      evaluateStart: folder.evaluateStart,
    },
    checkpoint?.state ?? start,
    checkpoint,
    signal,
  )

  for (;;) {
    const next = await run.next().catch(async (error: unknown) => {
      throw error instanceof TrainingError ? await withCheckpoint(error, folder, log) : error
    })
    if (next.done === true) {
      const result = resultOf(options, next.value, facts, steps, (performance.now() - began) / 1000)
      await log.flush()
      const handed = next.value.best?.state ?? next.value.last
      await saveAdapter(folder.adapter, adapterOf(model, handed, settings, task.labelNames ?? undefined))
      await folder.writeResult(result)
      yield { kind: 'result', result }
      return result
    }
    const event = next.value
    if (event.kind === 'checkpoint') {
      await log.flush()
      await saveCheckpoint(folder.checkpoints, {
        state: event.state,
        best: event.best,
        lastEvaluation: event.lastEvaluation,
        orthogonality: event.orthogonality,
        metricsLines: log.lines(),
      })
      yield { kind: 'saved', step: event.state.step }
      continue
    }
    if (event.kind === 'step' || event.kind === 'evaluation' || event.kind === 'retained') log.append(event)
    if (event.kind === 'evaluation' && event.step > 0 && event.constant !== null)
      yield { kind: 'warning', message: `step ${event.step}: every example of the evaluation is predicted as ${event.constant}` }
    yield event
  }
}

/** The accident with what is left of the run: its lines so far, and the state to go on from. */
const withCheckpoint = async ({ message }: TrainingError, { checkpoints }: RunFolder, log: MetricsLog): Promise<TrainingError> => {
  await log.flush()
  const last = await lastCheckpoint(checkpoints)
  return new TrainingError(
    `${message}; ${last === null ? 'no checkpoint was saved before it' : `the last good checkpoint is ${last.path}, after step ${last.step}`}`,
  )
}

const tokenise = (tokenizer: Tokenizer, { examples }: Dataset, maxLength: number): ReadonlyArray<LabelledExample> =>
  examples.map(({ text, textPair, label, row }) => ({ ...tokenizer.encode(text, textPair, maxLength), label, row }))

/** Classes by the largest logit; a regression's output as it is. */
export const predictionOf = (problem: Task['problem'], output: ReadonlyArray<number>): number =>
  problem === 'regression' ? (output[0] ?? NaN) : output.indexOf(Math.max(...output))

const scorer = (task: Task, labels: ReadonlyArray<number>) => (outputs: ReadonlyArray<ReadonlyArray<number>>) => {
  const predictions = outputs.map((output) => predictionOf(task.problem, output))
  const scores = score(task.metrics)(predictions, labels)
  const constant = task.problem === 'classification' ? constantPrediction(predictions) : null
  return {
    scores: scores as Scores,
    selection: selectionScore(task.selectionMetric)(scores),
    constant: constant === null ? null : (task.labelNames?.[constant] ?? String(constant)),
  }
}

const factsOf = (model: ModelFolder, task: Task, start: RunState, device: Device, revision: string | null): RunFacts => {
  const size = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)
  const majority = task.problem === 'classification' ? majorityClass(task.evaluation.examples.map(({ label }) => label)) : null
  return {
    device,
    revision,
    examples: { training: task.train.examples.length, evaluation: task.evaluation.examples.length },
    trainableParameters: {
      adapter: start.modules.reduce((sum, { d, k, r }) => sum + r * (d + k), 0),
      head: [...headTensorShapes(model.config).values()].reduce((sum, shape) => sum + size(shape), 0),
      gates: start.modules.reduce((sum, { r }) => sum + r, 0),
    },
    majority: majority === null ? null : { label: task.labelNames?.[majority.label] ?? String(majority.label), share: majority.share },
  }
}

const resultOf = (
  { settings, output }: FinetuneOptions,
  result: TrainingResult,
  facts: RunFacts,
  steps: number,
  seconds: number,
): RunResult => {
  const state = result.best?.state ?? result.last
  const { retained } = state
  return {
    ...facts,
    best: result.best === null ? null : { step: result.best.step, scores: result.best.scores },
    last: { step: result.lastEvaluation?.step ?? result.last.step, scores: result.lastEvaluation?.scores ?? {} },
    stepsDone: result.last.step,
    interrupted: result.interrupted,
    targetDensity: settings.method === 'salora' ? settings.density : null,
    expectedDensity: retained?.expectedDensity ?? null,
    retainedDensity: retained?.retainedDensity ?? null,
    retainedParameters: state.modules.reduce((sum, { d, k, r }) => sum + r * (d + k), 0),
    lambda: retained?.lambda ?? null,
    ranks: retained?.ranks ?? Object.fromEntries(state.modules.map(({ name, r }) => [name, r])),
    orthogonality: result.orthogonality,
    steps,
    seconds,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    seed: settings.seed,
    output,
  }
}

/** The adapter of a state, as it is written to disk. */
export const adapterOf = (
  model: ModelFolder,
  state: RunState,
  settings: Settings,
  labelNames: ReadonlyArray<string> | undefined,
): Adapter => {
  const layout = layoutOf(model.config, { ...state, gating: 'open' })
  const parameters = deterministicParameters(model.config, state, settings, settings.precision)
  const weights = (name: string, shape: ReadonlyArray<number>, factor = 1) => ({
    shape,
    data: Float32Array.from(tensorOf(layout, parameters, name), (x) => x * factor),
  })
  const early = scaleOf(settings, state) / (settings.alpha / settings.rank) // 1 but before T_start with warmupGate 'expected'
  return {
    config: model.config,
    baseModelName: model.baseModelName,
    rank: settings.rank,
    alpha: settings.alpha,
    modules: new Map(
      state.modules.map(({ name, d, k, r }) => [name, { A: weights(`${name}.A`, [r, k]), B: weights(`${name}.B`, [d, r], early) }]),
    ),
    head: new Map([...headTensorShapes(model.config)].map(([name, shape]) => [name, weights(name, shape)])),
    ...(labelNames === undefined ? {} : { labelNames }),
  }
}
