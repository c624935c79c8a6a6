/** Watches one sweep: its plan, its table, its failed cells, and whether a process works on it. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { claimantsOf } from '../../accelerated/storage/folderLock.js'
import { cellFailure, type CellFailure } from '../../evaluation/cells/cellFolder.js'
import { planFile, readPlan, type SweepPlan } from '../../evaluation/glue/storedPlan.js'
import { readSweep, type StoredSweep } from '../discovery/storedSweep.js'
import { resultOrMessage } from '../resultOrMessage.js'
import { statusOf } from './runStatus.js'
import { readSmallFile, stampOf } from './smallFile.js'
import type { WatchedRun } from './watchRun.js'

export type WatchedSweep = {
  readonly id: string
  readonly folder: string
  /** path below the board's folder */
  readonly name: string
  readonly plan: SweepPlan | null
  readonly stored: StoredSweep | null
  /** message for an invalid file */
  readonly problem: string | null
  /** whether a process works on the sweep */
  readonly isRunning: boolean
  /** by cell */
  readonly failures: ReadonlyMap<string, CellFailure>
  readonly runs: ReadonlyArray<WatchedRun>
}

export type SweepWatcher = {
  /** reads what has changed */
  readonly refresh: () => Promise<void>
  readonly sweep: () => Omit<WatchedSweep, 'runs'>
}

/** Maximum number of failures that are read. */
const failureLimit = 10_000

export const watchSweep = ({ id, folder, name }: Pick<WatchedSweep, 'id' | 'folder' | 'name'>): SweepWatcher => {
  let stamps = ''
  let sweep: Omit<WatchedSweep, 'runs'> = {
    ...{ id, folder, name, plan: null, stored: null },
    ...{ problem: null, isRunning: false, failures: new Map() },
  }
  return {
    sweep: () => sweep,
    refresh: async () => {
      const stampsNow = (await Promise.all([planFile, 'sweep.json', 'failures'].map((file) => stampOf(join(folder, file))))).join()
      const locks = await claimantsOf(folder)
      const isRunning = statusOf({ hasConfig: true, result: null, locks, hasFailed: false, isDamaged: false }) === 'running'
      sweep = { ...sweep, isRunning, ...(stampsNow === stamps ? {} : await readFiles(folder)) }
      stamps = stampsNow
    },
  }
}

const readFiles = async (folder: string): Promise<Pick<WatchedSweep, 'plan' | 'stored' | 'problem' | 'failures'>> => {
  const [plan, planProblem] = await resultOrMessage(() => readSmallFile(join(folder, planFile), () => readPlan(folder)))
  const [stored, storedProblem] = await resultOrMessage(() => readSmallFile(join(folder, 'sweep.json'), () => readSweep(folder)))
  return { plan, stored, problem: planProblem ?? storedProblem, failures: await readFailures(folder) }
}

const readFailures = async (folder: string): Promise<ReadonlyMap<string, CellFailure>> => {
  const failures = new Map<string, CellFailure>()
  for (const name of (await readdir(join(folder, 'failures')).catch(() => [])).slice(0, failureLimit)) {
    const id = name.replace(/\.json$/, '')
    const [failure] = await resultOrMessage(() => cellFailure(folder, { id }))
    if (failure !== null) failures.set(id, failure)
  }
  return failures
}
