/** Watches one run: reads the files that have changed, and determines the run's status and remaining time. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { claimantsOf, patience, type Claimant } from '../../accelerated/storage/folderLock.js'
import type { RunConfig, RunResult } from '../../finetuning/runs/run.js'
import { readRunConfig, readRunResult } from '../../finetuning/runs/runFiles.js'
import { readWorkers, workersFile, type RunWorkers } from '../../finetuning/runs/workersFile.js'
import type { CellFailure } from '../../evaluation/cells/cellFolder.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { plural } from '../text/units.js'
import type { RunStatus } from './events.js'
import { etaEstimator, metricsSummarizer, plannedSteps, type EtaEstimator, type MetricsSummarizer, type MetricsSummary } from './metrics.js'
import { openTail, readSmallFile, stampOf, type TailedFile } from './tailFile.js'

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
  /** who computes parts of it; null if the run is not running, or on one machine */
  readonly workers: RunWorkers | null
  /** planned steps; null if unknown */
  readonly steps: number | null
  /** null if the run is not running, or its speed is unknown */
  readonly secondsLeft: number | null
}

/** A run's place on the board, and what its sweep knows about it. */
export type RunPlace = Pick<WatchedRun, 'id' | 'folder' | 'name' | 'sweep'> & { readonly failure: CellFailure | null }

export type RunWatcher = {
  /** reads what has changed */
  readonly refresh: (place: RunPlace) => Promise<void>
  /** the run at the last refresh; null before the first one */
  readonly run: () => WatchedRun | null
}

/** Bytes at the end of a finished run's metrics.jsonl that contain its last step. Everything else is in its result.json. */
const lastStepBytes = 65_536

/** Of a folder without workers.json. */
const noWorkers = { stamp: '-', report: null } as const

type WatcherState = {
  readonly metrics: MetricsSummarizer
  readonly eta: EtaEstimator
  tail: TailedFile | null
  /** whether only the end of metrics.jsonl was read */
  isPartial: boolean
  stamps: string
  config: RunConfig | null
  result: RunResult | null
  workers: { readonly stamp: string; readonly report: RunWorkers | null }
  /** message for an invalid file */
  damage: string | null
  /** time of the newest line of metrics.jsonl, in milliseconds */
  updated: number | null
}

export const watchRun = (): RunWatcher => {
  const state: WatcherState = {
    metrics: metricsSummarizer(),
    eta: etaEstimator(),
    tail: null,
    isPartial: false,
    stamps: '',
    config: null,
    result: null,
    workers: noWorkers,
    damage: null,
    updated: null,
  }
  let run: WatchedRun | null = null
  return {
    run: () => run,
    refresh: async (place) => {
      const locks = await readFiles(state, place.folder)
      const unreadable = await readMetrics(state, place.folder)
      await readReport(state, place.folder)
      run = runOf(state, place, locks, unreadable)
    },
  }
}

/** Reads config.json and result.json if they have changed. @returns the run's locks */
const readFiles = async (state: WatcherState, folder: string): Promise<ReadonlyArray<Claimant>> => {
  const { stamps, locks } = await consistentSigns(state, folder)
  if (stamps === state.stamps) return locks
  const [configFile, resultFile] = [join(folder, 'config.json'), join(folder, 'result.json')]
  const [config, configDamage] = await resultOrMessage(() => readSmallFile(configFile, () => readRunConfig(folder)))
  const [result, resultDamage] = await resultOrMessage(() => readSmallFile(resultFile, () => readRunResult(folder)))
  Object.assign(state, { stamps, config, result, damage: configDamage ?? resultDamage })
  return locks
}

/** Stamps and locks of one moment. Otherwise a run that starts or ends in between would look like a failed one. */
const consistentSigns = async ({ stamps: before, result }: Pick<WatcherState, 'stamps' | 'result'>, folder: string) => {
  const stampsNow = async (): Promise<string> =>
    `${await stampOf(join(folder, 'config.json'))}, ${await stampOf(join(folder, 'result.json'))}`
  for (let attempt = 1; ; attempt++) {
    const stamps = await stampsNow()
    if (stamps === before && result?.interrupted === false) return { stamps, locks: [] }
    const locks = await claimantsOf(folder)
    if (attempt === 3 || (await stampsNow()) === stamps) return { stamps, locks }
  }
}

/** Reads the new lines of metrics.jsonl. @returns a message if it cannot be read */
const readMetrics = async (state: WatcherState, folder: string): Promise<string | null> => {
  const file = join(folder, 'metrics.jsonl')
  const isFinished = state.result?.interrupted === false
  if (state.tail === null || (state.isPartial && !isFinished)) {
    state.metrics.onReset()
    state.isPartial = isFinished
    state.tail = openTail(file, { ...state.metrics, ...(isFinished ? { lastBytes: lastStepBytes } : {}) })
  }
  const [hasNews, unreadable] = await resultOrMessage(state.tail.read)
  if (hasNews === true) state.updated = (await lstat(file).catch(() => null))?.mtimeMs ?? null
  return unreadable
}

/** Reads workers.json if it has changed. A damaged one counts as none: the run itself is not damaged. */
const readReport = async (state: WatcherState, folder: string): Promise<void> => {
  const file = join(folder, workersFile)
  const stamp = state.result?.interrupted === false ? noWorkers.stamp : await stampOf(file)
  if (stamp === state.workers.stamp) return
  const [report] = await resultOrMessage(() => readSmallFile(file, () => readWorkers(folder)))
  state.workers = { stamp, report }
}

const runOf = (state: WatcherState, place: RunPlace, locks: ReadonlyArray<Claimant>, unreadable: string | null): WatchedRun => {
  const { config, result, damage, eta, updated, workers } = state
  const { failure, ...identity } = place
  const metrics = state.metrics.summary()
  const status = statusOf({ hasConfig: config !== null, result, locks, hasFailed: failure !== null, isDamaged: damage !== null })
  const isRunning = status === 'running' && metrics.step > 0
  if (isRunning && updated !== null) eta.observe(metrics.step, updated)
  const steps = result?.steps ?? (config === null ? null : plannedSteps(config, metrics.stepsPerEpoch))
  return {
    ...identity,
    status,
    reason: unreadable ?? damage ?? reasonOf(status, locks, failure, metrics),
    config,
    result,
    metrics,
    workers: status === 'running' ? workers.report : null,
    steps,
    secondsLeft: isRunning && steps !== null ? eta.secondsFor(Math.max(0, steps - metrics.step), metrics) : null,
  }
}

const reasonOf = (
  status: RunStatus,
  locks: ReadonlyArray<Claimant>,
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
  readonly locks: ReadonlyArray<Pick<Claimant, 'lives' | 'silent'>>
  /** whether its sweep recorded an error for this cell */
  readonly hasFailed: boolean
  /** whether one of its files is invalid */
  readonly isDamaged: boolean
}

/** If the process cannot be checked from here, its lock counts for as long as it is renewed. */
const isHeld = ({ lives, silent }: RunSigns['locks'][number]): boolean => lives ?? silent <= patience.silence

export const statusOf = ({ hasConfig, result, locks, hasFailed, isDamaged }: RunSigns): RunStatus => {
  if (result?.interrupted === false) return 'finished'
  if (locks.some(isHeld)) return 'running'
  if (isDamaged) return 'unreadable'
  if (result !== null) return 'interrupted'
  if (hasFailed) return 'failed'
  if (locks.length > 0) return 'crashed'
  return hasConfig ? 'failed' : 'waiting' // a run that ends with an error removes its lock, and writes no result
}
