/** Watches all runs and sweeps below a folder. A refresh costs what has changed, not what exists. */
import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { group } from 'd3-array'
import pMap from 'p-map'
import { listClaimants } from '../../accelerated/storage/folderLock.js'
import { cellFailure, type CellFailure } from '../../evaluation/jobs/jobFolder.js'
import { planFile, readPlan, type SweepPlan } from '../../evaluation/glue/plan.js'
import { folderLimit, openDiscovery, runLimit, type RunFolder } from '../runs/discover.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { readSweep, type StoredSweep } from '../runs/readStored.js'
import { readSmallFile, readStamp } from './tailFile.js'
import { isHeld, openRunFiles, type WatchedRun } from './watchRun.js'

export type Watch = {
  /** Reads what has changed. Concurrent refreshes share one. */
  readonly refresh: () => Promise<void>
  /** by id, in the order of their folders: what has been read so far, also during a refresh */
  readonly runs: () => ReadonlyMap<string, WatchedRun>
  readonly sweeps: () => ReadonlyMap<string, WatchedSweep>
  /** a problem with the folder, in one line */
  readonly problem: () => string | null
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
  readonly runs: readonly WatchedRun[]
}

/** Runs that are read at the same time. */
const concurrency = 8
/** Runs that neither run nor wait are refreshed every fourth time. */
const idleInterval = 4
/** Maximum number of failures that are read. */
const failureLimit = 10_000

export const hashName = (name: string): string => createHash('sha256').update(name).digest('hex').slice(0, 16)

/** A run or a sweep with its name and id on the board. */
type Place = RunFolder & Pick<WatchedRun, 'id' | 'name'>
type SweepFiles = Omit<WatchedSweep, 'runs'> & { readonly stamps: string }

export const openWatch = (root: string): Watch => {
  const discover = openDiscovery(root)
  const readers = new Map<string, ReturnType<typeof openRunFiles>>()
  const [runs, sweeps] = [new Map<string, WatchedRun>(), new Map<string, SweepFiles>()]
  let [problem, turn, order]: [string | null, number, readonly string[]] = [null, 0, []]
  const isDue = ({ id }: Place, i: number): boolean => {
    const status = runs.get(id)?.status
    return status === undefined || status === 'running' || status === 'waiting' || (turn + i) % idleInterval === 0
  }
  const refreshRun = async ({ id, folder, name, sweep }: Place, sweepIds: ReadonlyMap<string, string>): Promise<void> => {
    const sweepId = sweep === null ? null : (sweepIds.get(sweep) ?? null)
    const failure = sweeps.get(sweepId ?? '')?.failures.get(basename(folder)) ?? null
    const read = readers.get(id) ?? openRunFiles()
    readers.set(id, read)
    runs.set(id, await read({ id, folder, name, sweep: sweepId, failure }))
  }
  const refresh = async (): Promise<void> => {
    const { folders, truncated } = await discover()
    problem = await findProblem(root, truncated)
    const places = folders.map((folder): Place => {
      const name = folder.path || basename(root) || root
      return { ...folder, name, id: hashName(name) }
    })
    order = places.map(({ id }) => id)
    const ids = new Set(order)
    for (const map of [readers, runs, sweeps]) for (const id of map.keys()) if (!ids.has(id)) map.delete(id)
    const sweepPlaces = places.filter(({ kind }) => kind === 'sweep')
    for (const place of sweepPlaces) sweeps.set(place.id, await readSweepFiles(place, sweeps.get(place.id)))
    const sweepIds = new Map(sweepPlaces.map(({ folder, id }) => [folder, id]))
    const due = places.filter(({ kind }) => kind === 'run').filter(isDue)
    turn++
    await pMap(due, (place) => refreshRun(place, sweepIds), { concurrency })
  }
  let refreshing: Promise<void> | null = null
  return {
    runs: () => new Map(order.flatMap((id) => runs.get(id) ?? []).map((run) => [run.id, run])),
    sweeps: () => {
      const bySweep = group(runs.values(), ({ sweep }) => sweep)
      return new Map([...sweeps].map(([id, { stamps: _, ...sweep }]) => [id, { ...sweep, runs: bySweep.get(id) ?? [] }]))
    },
    problem: () => problem,
    refresh: () => {
      refreshing ??= refresh().finally(() => {
        refreshing = null
      })
      return refreshing
    },
  }
}

const findProblem = async (root: string, truncated: boolean): Promise<string | null> => {
  const stats = await stat(root).catch(() => null)
  if (stats?.isDirectory() !== true) return `${root} no longer exists`
  return truncated ? `only the first ${runLimit} runs and ${folderLimit} folders are shown` : null
}

const readSweepFiles = async ({ id, folder, name }: Place, before: SweepFiles | undefined): Promise<SweepFiles> => {
  const stamps = (await Promise.all([planFile, 'sweep.json', 'failures'].map((file) => readStamp(join(folder, file))))).join()
  const isRunning = (await listClaimants(folder)).some(isHeld)
  if (before?.stamps === stamps) return { ...before, isRunning }
  const [plan, planProblem] = await resultOrMessage(() => readSmallFile(join(folder, planFile), () => readPlan(folder)))
  const [stored, storedProblem] = await resultOrMessage(() => readSmallFile(join(folder, 'sweep.json'), () => readSweep(folder)))
  const failures = await readFailures(folder)
  return { id, folder, name, plan, stored, problem: planProblem ?? storedProblem, isRunning, failures, stamps }
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
