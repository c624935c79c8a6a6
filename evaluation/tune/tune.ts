/** A search for settings on a user's own data, judged on rows that no candidate trains on. A second call resumes it. */
import { join } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { lockFolder } from '../../accelerated/storage/folderLock.js'
import { plannedSteps } from '../../accelerated/training/runLength.js'
import { resolveSettings, findMethod, buildSettingTable } from '../../accelerated/training/resolveSettings.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { GLUE_NAMES } from '../../finetuning/data/glueTasks.js'
import { looksLikeFile } from '../../finetuning/data/delimited.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { runInputs, type RunInputs } from '../../finetuning/run/runFingerprint.js'
import type { LoadedMetric } from '../../finetuning/metrics/metricModule.js'
import { storedMetric, withMetricModule } from '../../finetuning/metrics/metricModule.js'
import { bindWithMetric, withMetric } from '../../finetuning/tasks/chosenMetric.js'
import { loadTask, type LoadedTask, type TaskOptions } from '../../finetuning/tasks/index.js'
import type { RunCell } from '../jobs/jobFolder.js'
import {
  checkLengths,
  refuseRunFolder,
  openSweepModel,
  localExecutor,
  type CellOutcome,
  type Executor,
  type ExecutorEvent,
} from '../jobs/executor.js'
import { defaultFolds, findLearningRate, leastChoosingRows, mostFoldedRows } from '../../accelerated/settings/defaults.js'

export type TuneOptions = SearchSpace & {
  /** a folder in Hugging Face layout, or a hub id */
  readonly model: string
  readonly task: TaskOptions
  /** a module whose score decides, as of `finetune`; it runs on this machine only */
  readonly metric?: string
  readonly output: string
  /** Parts of the data; each is held out once, and a candidate's score is the mean. 1: one held-out part; null: as few rows need it */
  readonly folds: number | null
  /** runs at a time */
  readonly jobs: number
}

export type TuneEvent =
  | ExecutorEvent
  /** what the rows that judge the candidates are worth */
  | { readonly kind: 'judges'; readonly message: string; readonly warns: boolean }
  | {
      readonly kind: 'rung'
      readonly rung: number
      readonly rungs: number
      readonly candidates: number
      readonly steps: number
      readonly runs: number
    }

/** A candidate after one rung. Scores are means over the folds. */
export type Trial = {
  readonly name: string
  readonly settings: SettingsInput
  readonly steps: number
  /** of the metric that selects the best checkpoint, greater is better; null: a run failed or its score is no number */
  readonly score: number | null
  readonly loss: number | null
  /** of one run */
  readonly seconds: number | null
  /** why it has no score */
  readonly failure: string | null
}

export type TuneResult = {
  /** the metric that the scores are of */
  readonly selectedBy: string
  readonly rungs: readonly Rung[]
  /** in the order of their runs */
  readonly trials: readonly Trial[]
  /** null: no candidate has a score, or the search was stopped before one */
  readonly best: Trial | null
  readonly interrupted: boolean
}

/**
 * A run that fails only loses. Runs on other rows, or on another model, are not compared: neither those of an earlier call nor those of a worker.
 * @param execute makes the runs of a round
 * @throws InputError or SettingsError for a wrong request, before anything is written; InputError if another process uses the folder
 */
export const tune = async (
  given: TuneOptions,
  signal: AbortSignal,
  onEvent: (event: TuneEvent) => void,
  execute: Executor = localExecutor(given.jobs),
): Promise<TuneResult> => {
  const candidates = listCandidates(given)
  await refuseRunFolder(given.output)
  const { options, metric } = await withMetricModule(given)
  const asked = heldOutTasks(options, options.folds ?? 1)
  const base = await openSweepModel(options.model)
  checkLengths(
    base.model,
    candidates.map(({ settings }) => resolveSettings(settings)),
  )
  const first = await loadParts(asked, base, metric)
  const [part] = first
  const folds = options.folds ?? (part === undefined ? 1 : countFolds(options.task, base, part))
  const judges = part === undefined || first.length > 1 ? null : describeJudges(options.task, part, folds)
  if (judges !== null) onEvent({ kind: 'judges', ...judges })
  const parts = folds === first.length ? first : await loadParts(heldOutTasks(options, folds), base, metric)
  const rungs = planRungs(candidates.length, longestRun(candidates, parts[0]?.rows ?? 0))
  await makeFolder(options.output)
  const lock = await lockFolder(options.output, `--output ${options.output}`)
  try {
    return await search(options, { candidates, parts, rungs, metric }, { signal, onEvent, execute })
  } finally {
    await lock.release()
  }
}

/** The task with one part held out, what its runs read, and the numbers of its rows. canFold: whether any part of the file may be held out */
type Part = {
  readonly task: TaskOptions
  readonly inputs: RunInputs
  readonly rows: number
  readonly held: number
  readonly canFold: boolean
}

/** A sentence encoder has folds for few rows of a file, as its own runs have: they are short. */
const countFolds = ({ evalShare }: TaskOptions, { averages }: ModelFolder, { rows, held, canFold }: Part): number => {
  const all = rows + held
  const isSmall = all < mostFoldedRows.value && all >= 2 * defaultFolds.value
  return canFold && averages && isSmall && evalShare === undefined ? defaultFolds.value : 1
}

/** One line where few rows judge the candidates; null where there are enough. */
const describeJudges = ({ task }: TaskOptions, { rows, held, canFold }: Part, folds: number) => {
  const all = rows + held
  if (folds > 1)
    return {
      message: `each candidate trains ${folds} times, and each of the ${all} rows judges it once (--folds 1: ${held} rows do)`,
      warns: false,
    }
  if (held >= leastChoosingRows.value) return null
  const remedy = canFold ? `--folds ${defaultFolds.value} lets all ${all} judge` : 'give more evaluation rows'
  return {
    message: `${task}: ${held} held-out ${held === 1 ? 'row' : 'rows'} would choose among the candidates, which is chance: ${remedy}`,
    warns: true,
  }
}

/** One after another, so that the rows of one part are in memory at a time. */
const loadParts = async (tasks: readonly TaskOptions[], base: ModelFolder, metric: LoadedMetric | null): Promise<readonly Part[]> => {
  const parts: Part[] = []
  for (const task of tasks) {
    const data = await loadTask(task)
    if (metric !== null) checkMetric(data, metric)
    const [rows, held] = [data.train.examples.length, data.evaluation.examples.length]
    const canFold = data.heldOut && looksLikeFile(task.task) && data.taskType.file !== undefined
    parts.push({ task, inputs: await runInputs(base, data, undefined), rows, held, canFold })
  }
  return parts
}

/** @throws InputError if the task has a metric of this name, or predicts no labels */
const checkMetric = (data: LoadedTask, metric: LoadedMetric): void => void bindWithMetric(withMetric(data, metric, true))

type Plan = {
  readonly candidates: readonly Candidate[]
  readonly parts: readonly Part[]
  readonly rungs: readonly Rung[]
  readonly metric: LoadedMetric | null
}
type Context = { readonly signal: AbortSignal; readonly onEvent: (event: TuneEvent) => void; readonly execute: Executor }

const search = async (options: TuneOptions, { candidates, parts, rungs, metric }: Plan, context: Context): Promise<TuneResult> => {
  const { signal, onEvent, execute } = context
  const trials: Trial[] = []
  let selectedBy = ''
  let left: readonly Candidate[] = candidates
  for (const [rung, { steps }] of rungs.entries()) {
    const cells = left.flatMap((candidate) => parts.map((part, fold) => planCell(options, candidate, { ...part, fold, steps, metric })))
    onEvent({ kind: 'rung', rung, rungs: rungs.length, candidates: left.length, steps, runs: cells.length })
    const outcomes = await execute(cells, { output: options.output, signal, onEvent })
    if (signal.aborted) break
    const judged = left.map((candidate, i) => summarizeTrial(candidate, steps, outcomes.slice(i * parts.length, (i + 1) * parts.length)))
    trials.push(...judged)
    selectedBy = outcomes.flatMap((outcome) => (outcome.kind === 'done' ? [outcome.result.selectedBy ?? ''] : []))[0] ?? selectedBy
    const next = rungs[rung + 1]?.candidates ?? 0
    left = survivors(left, next, (candidate) => toRankKey(judged[left.indexOf(candidate)]))
  }
  const [best = null] = survivors(trials, 1, toRankKey)
  const result: TuneResult = { selectedBy, rungs, trials, best, interrupted: signal.aborted }
  if (!signal.aborted) await writeFileAtomically(join(options.output, 'tune.json'), `${JSON.stringify(result, null, 2)}\n`)
  return result
}

const toRankKey = (trial: Trial | undefined): { readonly score: number; readonly loss: number } => ({
  score: trial?.score ?? NaN,
  loss: trial?.loss ?? NaN,
})

/** The task with each part held out in turn. A test split and the dev file of GLUE are never read: people report them. @throws InputError */
const heldOutTasks = ({ task: { testData: _, ...task } }: TuneOptions, folds: number): readonly TaskOptions[] => {
  const named = (GLUE_NAMES as readonly string[]).includes(task.task)
  if (folds === 1) return [named ? { ...task, holdOutTrain: true } : task]
  if (!looksLikeFile(task.task)) throw inputError('--folds', `1 with --task ${task.task}: only files have folds`, String(folds))
  if (task.evalData !== undefined) throw inputError('--folds', 'none with --eval-data, which judges every candidate', String(folds))
  if (task.evalShare !== undefined)
    throw inputError('--folds', 'none with --eval-share: each part is as large as the others', String(folds))
  return Array.from({ length: folds }, (_, index) => ({ ...task, fold: { index, of: folds } }))
}

/** The steps of the last rung: those of an ordinary run on the same data, which no candidate changes. */
const longestRun = (candidates: readonly Candidate[], rows: number): number => {
  const { batchSize, gradientAccumulationSteps, ...length } = resolveSettings(candidates[0]?.settings ?? {})
  return plannedSteps(length, Math.ceil(rows / (batchSize * gradientAccumulationSteps)))
}

type PlannedRun = Pick<Part, 'task' | 'inputs'> & { readonly fold: number; readonly steps: number } & Pick<Plan, 'metric'>

const planCell = ({ model }: TuneOptions, { name, settings }: Candidate, { task, inputs, fold, steps, metric }: PlannedRun): RunCell => ({
  id: [name.replaceAll(', ', '.').replaceAll(' ', '-'), `${steps}-steps`, ...(task.fold === undefined ? [] : [`fold-${fold + 1}`])].join(
    '.',
  ),
  options: {
    model,
    task,
    settings: resolveSettings({ ...settings, maxSteps: steps }),
    ...(metric === null ? {} : { metric: metric.file }),
  },
  inputs,
  ...(metric === null ? {} : { metric: storedMetric(metric) }),
})

const summarizeTrial = ({ name, settings }: Candidate, steps: number, outcomes: readonly CellOutcome[]): Trial => {
  const results = outcomes.flatMap((outcome) => (outcome.kind === 'done' ? [outcome.result] : []))
  const failed = outcomes.find((outcome) => outcome.kind === 'failed')
  const isStopped = outcomes.some(({ kind }) => kind === 'stopped')
  const score = results.length === outcomes.length ? average(results.map(({ best }) => best?.selection ?? NaN)) : NaN
  return {
    ...{ name, settings, steps },
    score: Number.isFinite(score) ? score : null,
    loss: finiteOr(average(results.map(bestLoss))),
    seconds: finiteOr(average(results.map(({ seconds }) => seconds))),
    failure: failed?.message ?? (isStopped ? stopped : Number.isFinite(score) ? null : 'its score is no number'),
  }
}

/** Somebody stopped the run alone, for example on a board. */
const stopped = 'it was stopped; rerun the search to resume it'

const bestLoss = ({ best }: RunResult): number => best?.scores['loss'] ?? NaN

const average = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

const finiteOr = (value: number): number | null => (Number.isFinite(value) ? value : null)

/** The candidates of a search: every combination of method, learning rate and rank. */
type SearchSpace = {
  readonly methods: readonly string[]
  /** null: 0.3, 1 and 3 times the method's default */
  readonly learningRates: readonly number[] | null
  readonly ranks: readonly number[]
  /** settings of every candidate */
  readonly overrides: SettingsInput
}

type Candidate = {
  /** `lora, rank 8, 4e-4` */
  readonly name: string
  readonly settings: SettingsInput
}

/** Times the method's default learning rate. */
const factors = [0.3, 1, 3]

/** @throws SettingsError for a setting that no candidate of the method can have */
export const listCandidates = ({ methods, learningRates, ranks, overrides }: SearchSpace): readonly Candidate[] =>
  methods.flatMap((method) => {
    const rates = learningRates ?? factors.map((factor) => Number((factor * findLearningRate(method)).toPrecision(2)))
    return rankSettings(method, ranks).flatMap(({ name, settings }) =>
      rates.map((learningRate) => {
        const all = { ...settings, ...overrides, method, learningRate } as SettingsInput
        resolveSettings(all)
        return { name: [method, ...name, learningRate.toExponential()].join(', '), settings: all }
      }),
    )
  })

type Ranked = { readonly name: readonly string[]; readonly settings: SettingsInput }

/** alpha / rank stays 2, so that a rank does not change the scale of an update. AdaLoRA starts at one and a half times its final rank. */
const rankSettings = (method: string, ranks: readonly number[]): readonly Ranked[] => {
  const has = (setting: string): boolean => Object.hasOwn(buildSettingTable(findMethod(method)), setting)
  if (has('targetR'))
    return ranks.map((rank) => {
      const initR = Math.ceil(1.5 * rank)
      return { name: [`rank ${rank}`], settings: { targetR: rank, initR, loraAlpha: 2 * initR } }
    })
  if (has('rank')) return ranks.map((rank) => ({ name: [`rank ${rank}`], settings: { rank, loraAlpha: 2 * rank } }))
  return [{ name: [], settings: {} }]
}

/**
 * Successive halving (Jamieson & Talwalkar, 2016): every candidate trains for a short time, and only the best third trains three times as long.
 * One in three candidates continues, with three times the steps.
 */
const third = 3

/** Fewer steps say nothing about a candidate. */
const leastSteps = 100

type Rung = { readonly steps: number; readonly candidates: number }

/**
 * The rungs of a search, the shortest first. Each costs about as much as the longest: a third of the candidates take three times the steps.
 * @param steps of the last rung
 */
export const planRungs = (candidates: number, steps: number): readonly Rung[] => {
  const lengths = [steps]
  for (let left = candidates; left > 1 && (lengths[0] ?? 0) / third >= leastSteps; left /= third)
    lengths.unshift(Math.round((lengths[0] ?? 0) / third))
  return lengths.map((length, rung) => ({ steps: length, candidates: Math.max(1, Math.ceil(candidates / third ** rung)) }))
}

/** The best `count` by score; of equal ones, those with the lower loss, then the earlier. A score of NaN never continues. */
export const survivors = <T>(
  candidates: readonly T[],
  count: number,
  judged: (candidate: T) => { readonly score: number; readonly loss: number },
): readonly T[] =>
  candidates
    .map((candidate, place) => ({ candidate, place, ...judged(candidate) }))
    .filter(({ score }) => !Number.isNaN(score))
    .sort((a, b) => b.score - a.score || (a.loss || 0) - (b.loss || 0) || a.place - b.place)
    .slice(0, count)
    .map(({ candidate }) => candidate)
