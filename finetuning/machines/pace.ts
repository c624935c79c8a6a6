/** The pace of a run's workers: how long parts take, how long to wait for one, and what to report. */

export type WorkersReport = {
  /** workers that delivered a part recently, this process included */
  readonly workers: number
  readonly partsPerSecond: number
  /** the worker with the slowest parts, and the seconds of one; null: there is only one */
  readonly slowest: { readonly worker: string; readonly seconds: number } | null
}

export type Pace = {
  readonly add: (worker: string, seconds: number) => void
  /** Milliseconds without a part after which the leader computes one that a worker has. */
  readonly patience: () => number
  /** What happened since the last report; null: it is too early for another. */
  readonly report: () => WorkersReport | null
}

/** Milliseconds: of the least patience, of that before any part has come, and between two reports. */
const [leastPatience, firstPatience, reportInterval] = [1_000, 60_000, 1_000]

/** Parts of the slowest worker that the leader waits for one. */
const patienceInParts = 4

/** Milliseconds after which a worker without a part is no longer counted, if parts are short. */
const memory = 10_000

export const openPace = (now: () => number = () => performance.now()): Pace => {
  const last = new Map<string, { readonly seconds: number; readonly at: number }>()
  let [since, parts] = [now(), 0]
  const slowest = (): readonly [string, number] =>
    [...last].reduce<readonly [string, number]>((most, [worker, { seconds }]) => (seconds > most[1] ? [worker, seconds] : most), ['', 0])
  const patience = (): number => (last.size === 0 ? firstPatience : Math.max(leastPatience, patienceInParts * 1_000 * slowest()[1]))
  const forget = (): void => {
    const longest = Math.max(memory, 2 * patience())
    for (const [worker, { at }] of [...last]) if (now() - at > longest) last.delete(worker)
  }
  return {
    add: (worker, seconds) => {
      parts++
      last.set(worker, { seconds, at: now() })
    },
    patience,
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
