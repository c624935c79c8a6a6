/** Reads the files of one run that have changed, and determines the run's status and remaining time. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { listClaimants, patience, type Claimant } from '../../accelerated/storage/folderLock.js'
import type { CellFailure } from '../../evaluation/jobs/jobFolder.js'
import type { RunConfig, RunResult } from '../../finetuning/run/run.js'
import { readRunConfig, readRunResult } from '../../finetuning/run/runFiles.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { plural } from '../text/units.js'
import type { SparkPoint } from '../charts/drawChart.js'
import { downSampler } from '../runs/downSample.js'
import type { RunStatus } from './events.js'
import { openTail, readSmallFile, readStamp, type TailedFile } from './tailFile.js'
import { mean } from 'd3-array'
import { plannedSteps as stepsOfSettings } from '../../accelerated/training/runLength.js'

export type WatchedRun = {
  /** identifies the run to pages; not a path, so that pages cannot request paths */
  readonly id: string
  readonly folder: string
  /** path below the board's folder */
  readonly name: string
  /** id of the sweep that the run belongs to */
  readonly sweep: string | null
  readonly status: RunStatus
  /** the reason of the status, in one line */
  readonly reason: string | null
  readonly config: RunConfig | null
  readonly result: RunResult | null
  readonly metrics: MetricsSummary
  /** planned steps; null if unknown */
  readonly steps: number | null
  /** null if the run is not running, or its speed is unknown */
  readonly secondsLeft: number | null
}

/** A run's place on the board, and what its sweep recorded about it. */
export type RunPlace = Pick<WatchedRun, 'id' | 'folder' | 'name' | 'sweep'> & { readonly failure: CellFailure | null }

/** Bytes at the end of a finished run's metrics.jsonl that contain its last step, and of most runs all evaluations. Everything else is in its result.json. */
const lastStepBytes = 262_144

type RunFiles = Pick<WatchedRun, 'config' | 'result'> & {
  readonly stamps: string
  /** message for an invalid file */
  readonly damage: string | null
}

/** @returns a function that reads what has changed since its last call */
export const openRunFiles = (): ((place: RunPlace) => Promise<WatchedRun>) => {
  const [metrics, eta] = [metricsSummarizer(), etaEstimator()]
  let files: RunFiles = { stamps: '', config: null, result: null, damage: null }
  let tail: (TailedFile & { readonly isPartial: boolean }) | null = null
  return async ({ failure, ...place }) => {
    const locks = await readLocks(place.folder, files)
    files = locks.stamps === files.stamps ? files : await readFiles(place.folder, locks.stamps)
    const { config, result, damage } = files
    const isFinished = result?.interrupted === false
    const file = join(place.folder, 'metrics.jsonl')
    if (tail === null || (tail.isPartial && !isFinished)) {
      metrics.onReset()
      tail = { ...openTail(file, { ...metrics, ...(isFinished ? { lastBytes: lastStepBytes } : {}) }), isPartial: isFinished }
    }
    const [hasNews, unreadable] = await resultOrMessage(tail.read)
    const summary = metrics.summary()
    const signs = { hasConfig: config !== null, result, locks: locks.claimants, hasFailed: failure !== null, isDamaged: damage !== null }
    const status = chooseStatus(signs)
    const isRunning = status === 'running' && summary.step > 0
    const written = isRunning && hasNews === true ? await lstat(file).catch(() => null) : null
    if (written !== null) eta.observe(summary.step, written.mtimeMs)
    const steps = result?.steps ?? (config === null ? null : plannedSteps(config, summary.stepsPerEpoch))
    return {
      ...{ ...place, status, config, result, metrics: summary, steps },
      reason: unreadable ?? damage ?? explainStatus(status, locks.claimants, failure, summary),
      secondsLeft: isRunning && steps !== null ? eta.secondsFor(Math.max(0, steps - summary.step), summary) : null,
    }
  }
}

/** Locks, and stamps of the files, of one moment. Otherwise a run that starts or ends in between would look like a failed one. */
const readLocks = async (folder: string, { stamps: before, result }: RunFiles) => {
  const stampsNow = async (): Promise<string> =>
    (await Promise.all(['config.json', 'result.json'].map((file) => readStamp(join(folder, file))))).join()
  for (let attempt = 1; ; attempt++) {
    const stamps = await stampsNow()
    if (stamps === before && result?.interrupted === false) return { stamps, claimants: [] }
    const claimants = await listClaimants(folder)
    if (attempt === 3 || (await stampsNow()) === stamps) return { stamps, claimants }
  }
}

const readFiles = async (folder: string, stamps: string): Promise<RunFiles> => {
  const read = <Content>(file: string, parse: (folder: string) => Promise<Content>) =>
    resultOrMessage(() => readSmallFile(join(folder, file), () => parse(folder)))
  const [config, configDamage] = await read('config.json', readRunConfig)
  const [result, resultDamage] = await read('result.json', readRunResult)
  return { stamps, config, result, damage: configDamage ?? resultDamage }
}

const explainStatus = (
  status: RunStatus,
  locks: readonly Claimant[],
  failure: CellFailure | null,
  { invalidLines }: MetricsSummary,
): string | null => {
  const [lock] = locks
  const invalid = invalidLines === 0 ? null : `metrics.jsonl has ${plural(invalidLines, 'invalid line')}`
  switch (status) {
    case 'running': {
      const elsewhere = locks.find(({ lives }) => lives === null)
      return elsewhere !== undefined && !locks.some(({ lives }) => lives === true) ? `on ${elsewhere.host}` : invalid
    }
    case 'failed':
      return failure === null ? 'it ended with an error; see the output of its process' : `${failure.message} (attempt ${failure.attempts})`
    case 'crashed':
      return lock === undefined ? null : `process ${lock.pid} on ${lock.host} is gone; --resume continues from the last checkpoint`
    default:
      return invalid
  }
}

export type RunSigns = {
  readonly hasConfig: boolean
  readonly result: { readonly interrupted: boolean } | null
  readonly locks: readonly Pick<Claimant, 'lives' | 'silent'>[]
  /** whether its sweep recorded an error for this cell */
  readonly hasFailed: boolean
  /** whether one of its files is invalid */
  readonly isDamaged: boolean
}

/** If the process cannot be checked from here, its lock counts for as long as it is renewed. */
export const isHeld = ({ lives, silent }: RunSigns['locks'][number]): boolean => lives ?? silent <= patience.silence

export const chooseStatus = ({ hasConfig, result, locks, hasFailed, isDamaged }: RunSigns): RunStatus => {
  if (result?.interrupted === false) return 'finished'
  if (locks.some(isHeld)) return 'running'
  if (isDamaged) return 'unreadable'
  if (result !== null) return 'interrupted'
  if (hasFailed) return 'failed'
  if (locks.length > 0) return 'crashed'
  return hasConfig ? 'failed' : 'waiting' // a run that ends with an error removes its lock, and writes no result
}

/** What a list shows of a run's metrics.jsonl: the newest step, the evaluations, the time of a step, and the remaining time. */
type Evaluation = {
  readonly step: number
  readonly scores: Readonly<Record<string, number>>
  /** the metric whose score selects the best checkpoint; absent: it is a mean of several */
  readonly selectedBy?: string
}

type MetricsSummary = {
  readonly step: number
  readonly loss: number | null
  readonly density: number | null
  readonly lambda: number | null
  readonly tokensPerSecond: number | null
  readonly stepsPerEpoch: number | null
  /** mean of the newest steps */
  readonly secondsPerStep: number | null
  /** the newest evaluation that was the best one at its time */
  readonly best: Evaluation | null
  readonly last: Evaluation | null
  /** the score that selects the best checkpoint, over steps */
  readonly curve: readonly SparkPoint[]
  /** number of lines that are not events of a run */
  readonly invalidLines: number
}

/** Of a file without a line. */
export const noMetrics: MetricsSummary = {
  step: 0,
  loss: null,
  density: null,
  lambda: null,
  tokensPerSecond: null,
  stepsPerEpoch: null,
  secondsPerStep: null,
  best: null,
  last: null,
  curve: [],
  invalidLines: 0,
}

/** Points of a list's curves: at most twice as many. */
const curvePoints = 16
/** Number of steps in the mean time of a step. */
const timedSteps = 32
/** Maximum number of metrics in one evaluation. */
const metricLimit = 100

export const metricsSummarizer = () => {
  let [summary, seconds]: [MetricsSummary, readonly number[]] = [noMetrics, []]
  let curve = downSampler(1, curvePoints)
  return {
    /** forgets all lines */
    onReset: (): void => {
      ;[summary, seconds] = [noMetrics, []]
      curve = downSampler(1, curvePoints)
    },
    summary: (): MetricsSummary => ({
      ...summary,
      secondsPerStep: mean(seconds) ?? null,
      curve: curve.buckets().map(({ to, mean: score }) => [to, Number(score.toPrecision(4))]),
    }),
    onLine: (line: Buffer): void => {
      const fields = fieldsIn(line)
      if (fields === null) summary = { ...summary, invalidLines: summary.invalidLines + 1 }
      else if (fields['kind'] === 'evaluation') {
        const last = evaluationIn(fields)
        const selected = last.selectedBy === undefined ? undefined : last.scores[last.selectedBy]
        if (selected !== undefined) curve.add(last.step, selected)
        summary = { ...summary, last, best: fields['best'] === true ? last : summary.best }
      } else if (fields['kind'] === 'step') {
        summary = { ...summary, ...stepIn(fields), stepsPerEpoch: stepsPerEpochIn(fields) ?? summary.stepsPerEpoch }
        const tokens = asNumber(fields['tokens'])
        if (tokens !== null && (summary.tokensPerSecond ?? 0) > 0)
          seconds = [...seconds.slice(1 - timedSteps), tokens / (summary.tokensPerSecond ?? 1)]
      }
    },
  }
}

type Fields = Readonly<Record<string, unknown>> & { readonly step: number }

/** null for a line that is no event of a run */
const fieldsIn = (line: Buffer): Fields | null => {
  try {
    const fields: unknown = JSON.parse(line.toString())
    if (typeof fields !== 'object' || fields === null || !('step' in fields) || !Number.isSafeInteger(fields.step)) return null
    return Number(fields.step) < 0 ? null : (fields as Fields)
  } catch {
    return null
  }
}

const asNumber = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null)

const stepIn = ({ step, ...fields }: Fields) => ({
  step,
  loss: asNumber(fields['taskLoss']),
  density: asNumber(fields['density']),
  lambda: asNumber(fields['lambda']),
  tokensPerSecond: asNumber(fields['tokensPerSecond']),
})

const stepsPerEpochIn = ({ step, epoch: value }: Fields): number | null => {
  const epoch = asNumber(value)
  return epoch !== null && epoch > 0 ? Math.max(1, Math.round(step / epoch)) : null
}

const evaluationIn = ({ step, scores: found, selection: value }: Fields): Evaluation => {
  const entries = typeof found === 'object' && found !== null ? Object.entries(found).slice(0, metricLimit) : []
  const scores = Object.fromEntries(entries.filter(([, score]) => asNumber(score) !== null)) as Evaluation['scores']
  const selection = asNumber(value)
  const selectedBy = Object.keys(scores).find((metric) => selection !== null && Math.abs(scores[metric] ?? NaN) === Math.abs(selection)) // −loss
  return { step, scores, ...(selectedBy === undefined ? {} : { selectedBy }) }
}

/** Steps of the whole run; null if it counts epochs and has not logged a step yet. */
export const plannedSteps = ({ settings }: Pick<RunConfig, 'settings'>, stepsPerEpoch: number | null): number | null => {
  const { maxSteps, epochs } = settings // of a file, which may hold anything
  if (typeof maxSteps === 'number') return maxSteps
  return stepsPerEpoch === null || (epochs !== null && typeof epochs !== 'number')
    ? null
    : stepsOfSettings({ maxSteps: null, epochs }, stepsPerEpoch)
}

/** Milliseconds of the longest observation, and of the shortest one that is used. */
const [maxSpan, minSpan] = [600_000, 20_000]
/** Fewest steps of an observation that is used. */
const minSteps = 5
/** Maximum number of observations. */
const maxObservations = 120

export const etaEstimator = () => {
  let observations: readonly { readonly step: number; readonly now: number }[] = []
  return {
    /** @param now time of the step in milliseconds */
    observe: (step: number, now: number): void => {
      const last = observations.at(-1)
      if (last !== undefined && step < last.step) observations = [] // resumed from an earlier step
      if (last?.step === step || (last !== undefined && step >= last.step && now - last.now < maxSpan / maxObservations)) return
      observations = [...observations, { step, now }].filter((one) => now - one.now <= maxSpan)
    },
    /** seconds for `steps` more steps; null if no speed is known */
    secondsFor: (steps: number, { secondsPerStep }: Pick<MetricsSummary, 'secondsPerStep'>): number | null => {
      const [first, last] = [observations[0], observations.at(-1)]
      if (first !== undefined && last !== undefined && last.now - first.now >= minSpan && last.step - first.step >= minSteps)
        return (steps * (last.now - first.now)) / (last.step - first.step) / 1000
      return secondsPerStep === null ? null : steps * secondsPerStep
    },
  }
}
