/** What lies in a folder now: runs and sweeps, and where each stands. A look costs what has changed, not what is there. */
import { createHash } from 'node:crypto'
import { lstat, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import pMap from 'p-map'
import { claimantsOf, type Claimant } from '../../accelerated/storage/folderLock.js'
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import { readSweep, type StoredSweep } from '../report/storedSweep.js'
import type { RunConfig, RunResult } from '../../finetuning/runs/run.js'
import { readRunConfig, readRunResult } from '../../finetuning/runs/runFiles.js'
import { cellFailure, type CellFailure } from '../../evaluation/glue/cellFolder.js'
import { planFile, readPlan, type SweepPlan } from '../../evaluation/glue/storedPlan.js'
import { digester, type Digest, type Digester } from './digest.js'
import { openFinder, type FoundFolder } from './discover.js'
import { openPace, plannedSteps, type Pace } from './eta.js'
import { stateOf, type RunState } from './runStatus.js'
import { openTail, type Tail } from './tailFile.js'

export type WatchedRun = {
  /** what the page calls it: no path, so that none can be asked for */
  readonly id: string
  readonly folder: string
  readonly name: string
  /** id of the sweep whose cell it is */
  readonly sweep: string | null
  readonly state: RunState
  /** why it is in that state, in a line; null where there is nothing to say */
  readonly why: string | null
  readonly config: RunConfig | null
  readonly result: RunResult | null
  readonly digest: Digest
  /** planned; null where that is not known yet */
  readonly steps: number | null
  /** seconds; null where it does not run, or nothing is known yet */
  readonly left: number | null
  /** milliseconds since 1970: metrics.jsonl's newest line */
  readonly updated: number | null
}

export type WatchedSweep = {
  readonly id: string
  readonly folder: string
  readonly name: string
  readonly plan: SweepPlan | null
  readonly stored: StoredSweep | null
  /** a file of it that is broken, in a line */
  readonly problem: string | null
  /** the process that works it off is alive */
  readonly atWork: boolean
  readonly failures: ReadonlyMap<string, CellFailure>
  readonly runs: ReadonlyArray<WatchedRun>
}

export type Watch = {
  readonly refresh: () => Promise<void>
  readonly runs: () => ReadonlyMap<string, WatchedRun>
  readonly sweeps: () => ReadonlyMap<string, WatchedSweep>
  /** what was not looked at, in a line */
  readonly more: () => string | null
}

/** Files at once. */
const concurrency = 8
/** Looks from one at what does not move to the next. */
const seldom = 4
/** Bytes at the end of a finished run's metrics.jsonl, which has the last step: the rest its result says. */
const lastBytes = 65_536
/** Bytes of a file that is read whole: ranks of a thousand layers need 1 MB; and failures of one sweep. */
const [fileLimit, failureLimit] = [2_000_000, 10_000]

export const idOf = (name: string): string => createHash('sha256').update(name).digest('hex').slice(0, 16)

export const openWatch = (root: string): Watch => {
  const find = openFinder(root)
  const [runs, sweeps] = [new Map<string, Entry>(), new Map<string, SweepEntry>()]
  let [looks, more]: [number, string | null] = [0, null]
  let [shownRuns, shownSweeps]: [ReadonlyMap<string, WatchedRun>, ReadonlyMap<string, WatchedSweep>] = [new Map(), new Map()]

  const publish = (found: ReadonlyArray<FoundFolder>): void => {
    shownRuns = new Map([...runs].flatMap(([id, { shown }]) => (shown === null ? [] : [[id, shown]])))
    const cells = new Map<string, WatchedRun[]>()
    for (const run of shownRuns.values()) if (run.sweep !== null) cells.set(run.sweep, [...(cells.get(run.sweep) ?? []), run])
    shownSweeps = new Map(
      found.flatMap(({ kind, name }) => {
        const entry = kind === 'sweep' ? sweeps.get(idOf(name)) : undefined
        return entry === undefined ? [] : [[entry.id, { ...entry.seen, runs: cells.get(entry.id) ?? [] }]]
      }),
    )
  }

  const look = async (): Promise<void> => {
    const turn = looks++
    const found = await find()
    const isThere = await lstat(root).then(
      (there) => there.isDirectory(),
      () => false,
    )
    more = isThere ? found.more : `${root} is gone`
    const names = new Map(found.folders.map(({ folder, name }) => [folder, name]))
    const present = new Set(found.folders.map(({ name }) => idOf(name)))
    for (const known of [runs, sweeps]) for (const id of known.keys()) if (!present.has(id)) known.delete(id)
    for (const one of found.folders.filter(({ kind }) => kind === 'sweep')) {
      const entry = sweeps.get(idOf(one.name)) ?? newSweep(one)
      sweeps.set(entry.id, entry)
      await lookAtSweep(entry)
    }
    const due = found.folders
      .filter(({ kind }) => kind === 'run')
      .map((one, i) => ({ one, i, id: idOf(one.name) }))
      .filter(({ id, i }) => isLively(runs.get(id)) || (turn + i) % seldom === 0)
    await pMap(
      due,
      async ({ one, id }, i) => {
        const entry = runs.get(id) ?? newEntry(id)
        runs.set(id, entry)
        const sweep = one.sweep === null ? null : idOf(names.get(one.sweep) ?? '')
        const failure = (sweep === null ? undefined : sweeps.get(sweep)?.seen.failures.get(basename(one.folder))) ?? null
        await lookAtRun(entry, one, sweep, failure)
        if (i % 100 === 99) publish(found.folders) // of many, the first are shown while the others are read
      },
      { concurrency },
    )
    publish(found.folders)
  }
  let looking: Promise<void> | null = null
  return {
    runs: () => shownRuns,
    sweeps: () => shownSweeps,
    more: () => more,
    /** two who ask at once look once */
    refresh: () => {
      looking ??= look().finally(() => {
        looking = null
      })
      return looking
    },
  }
}

type Entry = {
  readonly id: string
  readonly digester: Digester
  readonly pace: Pace
  tail: Tail | null
  /** whether only the end of metrics.jsonl was read */
  short: boolean
  stamps: string
  config: RunConfig | null
  result: RunResult | null
  broken: string | null
  updated: number | null
  shown: WatchedRun | null
}

type SweepEntry = { readonly id: string; stamps: string; seen: Omit<WatchedSweep, 'runs'> }

const newEntry = (id: string): Entry => ({
  id,
  digester: digester(),
  pace: openPace(),
  tail: null,
  short: false,
  stamps: '',
  config: null,
  result: null,
  broken: null,
  updated: null,
  shown: null,
})

const newSweep = ({ folder, name }: FoundFolder): SweepEntry => {
  const id = idOf(name)
  return {
    id,
    stamps: '',
    seen: { id, folder, name, plan: null, stored: null, problem: null, atWork: false, failures: new Map() },
  }
}

/** New ones too. */
const isLively = (entry: Entry | undefined): boolean =>
  entry?.shown == null || entry.shown.state === 'running' || entry.shown.state === 'waiting'

/** By which a file is known to be the one that was read. */
const stampOf = async (file: string): Promise<string> => {
  const there = await lstat(file).catch(() => null)
  return there === null ? '-' : `${there.ino} ${there.size} ${there.mtimeMs}`
}

/** What a file holds, but for one whose reading would hold up everybody. */
const shownFile = async <T>(file: string, read: () => Promise<T>): Promise<T> => {
  const { size } = (await lstat(file).catch(() => null)) ?? { size: 0 }
  if (size > fileLimit) throw inputError(file, `at most ${fileLimit} bytes to be shown on a board`, `${size}`)
  return read()
}

/** The value, or the line that says why there is none; an error of the system says no less. */
const orLine = async <T>(read: () => Promise<T>): Promise<readonly [T | null, string | null]> => {
  try {
    return [await read(), null]
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    return [null, thrown.message]
  }
}

/** Claims and files of one moment: a run that begins or ends between two looks would be taken for one that failed. */
const signsIn = async ({ stamps: before, result }: Pick<Entry, 'stamps' | 'result'>, folder: string) => {
  const stampsNow = async (): Promise<string> =>
    `${await stampOf(join(folder, 'config.json'))}, ${await stampOf(join(folder, 'result.json'))}`
  for (let tries = 0; ; tries++) {
    const stamps = await stampsNow()
    if (stamps === before && result?.interrupted === false) return { stamps, claims: [] }
    const claims = await claimantsOf(folder)
    if (tries === 2 || (await stampsNow()) === stamps) return { stamps, claims }
  }
}

const lookAtRun = async (entry: Entry, { folder, name }: FoundFolder, sweep: string | null, failure: CellFailure | null): Promise<void> => {
  const metrics = join(folder, 'metrics.jsonl')
  const { stamps, claims } = await signsIn(entry, folder)
  if (stamps !== entry.stamps) {
    const [[config, noConfig], [result, noResult]] = [
      await orLine(() => shownFile(join(folder, 'config.json'), () => readRunConfig(folder))),
      await orLine(() => shownFile(join(folder, 'result.json'), () => readRunResult(folder))),
    ]
    Object.assign(entry, { stamps, config, result, broken: noConfig ?? noResult })
  }
  const { config, result } = entry
  const isFinished = result?.interrupted === false
  if (entry.tail === null || (entry.short && !isFinished)) {
    entry.digester.forget()
    entry.short = isFinished
    entry.tail = openTail(metrics, { ...entry.digester, ...(isFinished ? { last: lastBytes } : {}) })
  }
  const [isNew, unread] = await orLine(entry.tail.look)
  if (isNew === true)
    entry.updated = await lstat(metrics).then(
      ({ mtimeMs }) => mtimeMs,
      () => null,
    )
  const digest = entry.digester.digest()
  const state = stateOf({ config: config !== null, result, claims, failed: failure !== null, broken: entry.broken !== null })
  const isRunning = state === 'running'
  if (isRunning && entry.updated !== null && digest.step > 0) entry.pace.see(digest.step, entry.updated)
  const steps = result?.steps ?? (config === null ? null : plannedSteps(config, digest.stepsPerEpoch))
  entry.shown = {
    id: entry.id,
    folder,
    name,
    sweep,
    state,
    why: unread ?? entry.broken ?? whyOf(state, claims, failure, digest),
    config,
    result,
    digest,
    steps,
    left: isRunning && steps !== null && digest.step > 0 ? entry.pace.left(Math.max(0, steps - digest.step), digest) : null,
    updated: entry.updated,
  }
}

const whyOf = (state: RunState, claims: ReadonlyArray<Claimant>, failure: CellFailure | null, { odd }: Digest): string | null => {
  const lines = odd === 0 ? '' : `${odd} ${odd === 1 ? 'line' : 'lines'} of metrics.jsonl ${odd === 1 ? 'is' : 'are'} no event of a run`
  const [claim] = claims
  switch (state) {
    case 'running': {
      const elsewhere = claims.find(({ lives }) => lives === null)
      return elsewhere !== undefined && !claims.some(({ lives }) => lives === true) ? `on ${elsewhere.host}` : lines || null
    }
    case 'failed':
      return failure === null
        ? 'it ended with an error, which the process that made it told'
        : `${failure.message} (attempt ${failure.attempts})`
    case 'lost':
      return claim === undefined ? null : `process ${claim.pid} on ${claim.host} is gone; --resume goes on at the newest checkpoint`
    default:
      return lines || null
  }
}

const lookAtSweep = async (entry: SweepEntry): Promise<void> => {
  const { folder } = entry.seen
  const stamps = (await Promise.all([planFile, 'sweep.json', 'failures'].map((name) => stampOf(join(folder, name))))).join()
  const claims = await claimantsOf(folder)
  const atWork = stateOf({ config: true, result: null, claims, failed: false, broken: false }) === 'running'
  if (stamps === entry.stamps) {
    entry.seen = { ...entry.seen, atWork }
    return
  }
  const [plan, noPlan] = await orLine(() => shownFile(join(folder, planFile), () => readPlan(folder)))
  const [stored, notStored] = await orLine(() => shownFile(join(folder, 'sweep.json'), () => readSweep(folder)))
  const failures = new Map<string, CellFailure>()
  for (const name of (await readdir(join(folder, 'failures')).catch(() => [])).slice(0, failureLimit)) {
    const id = name.replace(/\.json$/, '')
    const [failure] = await orLine(() => cellFailure(folder, { id }))
    if (failure !== null) failures.set(id, failure)
  }
  entry.stamps = stamps
  entry.seen = { ...entry.seen, plan, stored, problem: noPlan ?? notStored, atWork, failures }
}
