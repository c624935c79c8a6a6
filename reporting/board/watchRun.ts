/** Reads the files of one run that have changed, and determines the run's status and remaining time. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { listClaimants, patience, type Claimant } from '../../accelerated/storage/folderLock.js'
import type { CellFailure } from '../../evaluation/jobs/jobFolder.js'
import type { RunConfig, RunResult } from '../../finetuning/run/run.js'
import { readRunConfig, readRunResult } from '../../finetuning/run/runFiles.js'
import { readWorkers, workersFile, type RunWorkers } from '../../finetuning/run/workersFile.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { plural } from '../text/units.js'
import type { RunStatus } from './events.js'
import { etaEstimator, metricsSummarizer, plannedSteps, type MetricsSummary } from './metricsSummary.js'
import { openTail, readSmallFile, readStamp, type TailedFile } from './tailFile.js'

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

/** A run's place on the board, and what its sweep recorded about it. */
export type RunPlace = Pick<WatchedRun, 'id' | 'folder' | 'name' | 'sweep'> & { readonly failure: CellFailure | null }

/** Bytes at the end of a finished run's metrics.jsonl that contain its last step. Everything else is in its result.json. */
const lastStepBytes = 65_536

type RunFiles = Pick<WatchedRun, 'config' | 'result' | 'workers'> & {
  readonly stamps: string
  /** message for an invalid file */
  readonly damage: string | null
}

/** @returns a function that reads what has changed since its last call */
export const openRunFiles = (): ((place: RunPlace) => Promise<WatchedRun>) => {
  const [metrics, eta] = [metricsSummarizer(), etaEstimator()]
  let files: RunFiles = { stamps: '', config: null, result: null, workers: null, damage: null }
  let tail: (TailedFile & { readonly isPartial: boolean }) | null = null
  return async ({ failure, ...place }) => {
    const locks = await readLocks(place.folder, files)
    files = locks.stamps === files.stamps ? files : await readFiles(place.folder, locks.stamps)
    const { config, result, workers, damage } = files
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
      workers: status === 'running' ? workers : null,
      secondsLeft: isRunning && steps !== null ? eta.secondsFor(Math.max(0, steps - summary.step), summary) : null,
    }
  }
}

/** Locks, and stamps of the files, of one moment. Otherwise a run that starts or ends in between would look like a failed one. */
const readLocks = async (folder: string, { stamps: before, result }: RunFiles) => {
  const stampsNow = async (): Promise<string> =>
    (await Promise.all(['config.json', 'result.json', workersFile].map((file) => readStamp(join(folder, file))))).join()
  for (let attempt = 1; ; attempt++) {
    const stamps = await stampsNow()
    if (stamps === before && result?.interrupted === false) return { stamps, claimants: [] }
    const claimants = await listClaimants(folder)
    if (attempt === 3 || (await stampsNow()) === stamps) return { stamps, claimants }
  }
}

/** A damaged workers.json counts as none: the run itself is not damaged. */
const readFiles = async (folder: string, stamps: string): Promise<RunFiles> => {
  const read = <Content>(file: string, parse: (folder: string) => Promise<Content>) =>
    resultOrMessage(() => readSmallFile(join(folder, file), () => parse(folder)))
  const [config, configDamage] = await read('config.json', readRunConfig)
  const [result, resultDamage] = await read('result.json', readRunResult)
  const [workers] = await read(workersFile, readWorkers)
  return { stamps, config, result, workers, damage: configDamage ?? resultDamage }
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
