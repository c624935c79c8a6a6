/** Watches all runs and sweeps below a folder. A refresh costs what has changed, not what exists. */
import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import pMap from 'p-map'
import { claimantsOf } from '../../accelerated/storage/folderLock.js'
import { cellFailure, type CellFailure } from '../../evaluation/cells/cellFolder.js'
import { planFile, readPlan, type SweepPlan } from '../../evaluation/glue/storedPlan.js'
import { folderLimit, openDiscovery, runLimit, type RunFolder } from '../runs/discover.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { readSweep, type StoredSweep } from '../runs/stored.js'
import { readSmallFile, stampOf } from './tailFile.js'
import { statusOf, watchRun, type RunWatcher, type WatchedRun } from './watchRun.js'

export type Watch = {
  readonly refresh: () => Promise<void>
  readonly runs: () => ReadonlyMap<string, WatchedRun>
  readonly sweeps: () => ReadonlyMap<string, WatchedSweep>
  /** a problem with the folder, in one line */
  readonly problem: () => string | null
}

/** Runs that are read at the same time. */
const concurrency = 8
/** Runs that neither run nor wait are refreshed every fourth time. */
const idleInterval = 4
/** Runs after which the board shows what it has read so far. */
const publishInterval = 100

export const idOf = (name: string): string => createHash('sha256').update(name).digest('hex').slice(0, 16)

/** A run or a sweep with its name and id on the board. */
type Found = RunFolder & { readonly id: string; readonly name: string }

type WatchState = {
  readonly runs: Map<string, RunWatcher>
  readonly sweeps: Map<string, SweepWatcher>
  shownRuns: ReadonlyMap<string, WatchedRun>
  shownSweeps: ReadonlyMap<string, WatchedSweep>
  problem: string | null
  refreshes: number
}

/** Concurrent refreshes share one. */
export const openWatch = (root: string): Watch => {
  const discover = openDiscovery(root)
  const state: WatchState = {
    ...{ runs: new Map(), sweeps: new Map(), shownRuns: new Map(), shownSweeps: new Map() },
    ...{ problem: null, refreshes: 0 },
  }
  const refresh = async (): Promise<void> => {
    const { folders, truncated } = await discover()
    state.problem = await problemOf(root, truncated)
    await refreshAll(
      state,
      folders.map((folder) => named(root, folder)),
    )
  }
  let refreshing: Promise<void> | null = null
  return {
    runs: () => state.shownRuns,
    sweeps: () => state.shownSweeps,
    problem: () => state.problem,
    refresh: () => {
      refreshing ??= refresh().finally(() => {
        refreshing = null
      })
      return refreshing
    },
  }
}

const problemOf = async (root: string, truncated: boolean): Promise<string | null> => {
  const stats = await stat(root).catch(() => null)
  if (stats?.isDirectory() !== true) return `${root} no longer exists`
  return truncated ? `only the first ${runLimit} runs and ${folderLimit} folders are shown` : null
}

const named = (root: string, folder: RunFolder): Found => {
  const name = folder.path || basename(root) || root
  return { ...folder, name, id: idOf(name) }
}

const refreshAll = async (state: WatchState, found: ReadonlyArray<Found>): Promise<void> => {
  const ids = new Set(found.map(({ id }) => id))
  for (const watchers of [state.runs, state.sweeps]) for (const id of watchers.keys()) if (!ids.has(id)) watchers.delete(id)
  for (const sweep of found.filter(({ kind }) => kind === 'sweep')) {
    const watcher = state.sweeps.get(sweep.id) ?? watchSweep(sweep)
    state.sweeps.set(sweep.id, watcher)
    await watcher.refresh()
  }
  const turn = state.refreshes++
  const runs = found.filter(({ kind }) => kind === 'run')
  const due = runs.filter(({ id }, i) => isActive(state.runs.get(id)) || (turn + i) % idleInterval === 0)
  const sweepIds = new Map(found.map(({ folder, id }) => [folder, id]))
  await pMap(
    due,
    async (run, i) => {
      await refreshRun(state, run, run.sweep === null ? null : (sweepIds.get(run.sweep) ?? null))
      if (i % publishInterval === publishInterval - 1) publish(state, found)
    },
    { concurrency },
  )
  publish(state, found)
}

const refreshRun = async (state: WatchState, { id, folder, name }: Found, sweep: string | null): Promise<void> => {
  const watcher = state.runs.get(id) ?? watchRun()
  state.runs.set(id, watcher)
  const failures = sweep === null ? undefined : state.sweeps.get(sweep)?.sweep().failures
  await watcher.refresh({ id, folder, name, sweep, failure: failures?.get(basename(folder)) ?? null })
}

/** New runs are active too. */
const isActive = (watcher: RunWatcher | undefined): boolean => {
  const status = watcher?.run()?.status
  return status === undefined || status === 'running' || status === 'waiting'
}

/** Shows what has been read so far. */
const publish = (state: WatchState, found: ReadonlyArray<Found>): void => {
  const runs = [...state.runs.values()].flatMap((watcher) => watcher.run() ?? [])
  const bySweep = new Map<string, WatchedRun[]>()
  for (const run of runs) {
    if (run.sweep === null) continue
    const others = bySweep.get(run.sweep)
    if (others === undefined) bySweep.set(run.sweep, [run])
    else others.push(run)
  }
  state.shownRuns = new Map(runs.map((run) => [run.id, run]))
  state.shownSweeps = new Map(
    found.flatMap(({ kind, id }) => {
      const watcher = kind === 'sweep' ? state.sweeps.get(id) : undefined
      return watcher === undefined ? [] : [[id, { ...watcher.sweep(), runs: bySweep.get(id) ?? [] }]]
    }),
  )
}

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
