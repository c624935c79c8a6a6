/** The pace of a run's workers: how long parts take, how long a lease is, and what to report. */

export type WorkersReport = {
  /** workers that delivered a part recently, this process included */
  readonly workers: number
  readonly partsPerSecond: number
  /** the worker with the slowest parts, and the seconds of one; null: there is only one */
  readonly slowest: { readonly worker: string; readonly seconds: number } | null
}

export type Pace = {
  readonly add: (worker: string, seconds: number) => void
  /** Milliseconds after which a worker that does not deliver counts as gone. */
  readonly lease: () => number
  /** What happened since the last report; null: it is too early for another. */
  readonly report: () => WorkersReport | null
}

/** Milliseconds: of the shortest lease, and between two reports. */
const [shortestLease, reportInterval] = [1_000, 1_000]

/** Milliseconds of a lease before any part is known. A part of a round has many steps. */
export const firstLease = { part: 60_000, round: 600_000 } as const

/** A lease in parts of the slowest worker. */
export const partsOfLease = 4

/** Milliseconds after which a worker without a part is no longer counted, if parts are short. */
const memory = 10_000

/** @param first milliseconds of a lease before any part is known */
export const openPace = (now: () => number = () => performance.now(), first: number = firstLease.part): Pace => {
  const last = new Map<string, { readonly seconds: number; readonly at: number }>()
  let [since, parts] = [now(), 0]
  const slowest = (): readonly [string, number] =>
    [...last].reduce<readonly [string, number]>((most, [worker, { seconds }]) => (seconds > most[1] ? [worker, seconds] : most), ['', 0])
  const lease = (): number => (last.size === 0 ? first : Math.max(shortestLease, partsOfLease * 1_000 * slowest()[1]))
  const forget = (): void => {
    const patience = Math.max(memory, 2 * lease())
    for (const [worker, { at }] of [...last]) if (now() - at > patience) last.delete(worker)
  }
  return {
    add: (worker, seconds) => {
      parts++
      last.set(worker, { seconds, at: now() })
    },
    lease,
    report: () => {
      const elapsed = now() - since
      if (elapsed < reportInterval || parts === 0) return null
      forget()
      const [worker, seconds] = slowest()
      const report = { workers: last.size, partsPerSecond: (1_000 * parts) / elapsed, slowest: last.size > 1 ? { worker, seconds } : null }
      ;[since, parts] = [now(), 0]
      return report
    },
  }
}
