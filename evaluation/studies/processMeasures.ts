/** What work costs this process: seconds of the clock and of processors, rates, memory and swapped pages (Linux's, from /proc). */
import { readFileSync } from 'node:fs'
import { median } from 'simple-statistics'

export const seconds = async <T>(work: () => Promise<T>): Promise<readonly [number, T]> => {
  const start = performance.now()
  const result = await work()
  return [(performance.now() - start) / 1000, result]
}

export type Times = { readonly seconds: number; readonly cpuSeconds: number }

export const timesOf = async <T>(work: () => Promise<T>): Promise<readonly [Times, T]> => {
  const cpu = process.cpuUsage()
  const [elapsed, result] = await seconds(work)
  const { user, system } = process.cpuUsage(cpu)
  return [{ seconds: elapsed, cpuSeconds: (user + system) / 1e6 }, result]
}

/** Medians of runs of `operations` operations each. */
export const rates = (operations: number, runs: ReadonlyArray<Times>) => {
  const [clock, cpu] = [median(runs.map((run) => run.seconds)), median(runs.map((run) => run.cpuSeconds))]
  return {
    seconds: clock,
    cpuSeconds: cpu,
    gigaops: operations / clock / 1e9,
    /** as two processors would have it that do nothing else */
    gigaopsOfProcessors: (2 * operations) / cpu / 1e9,
  }
}

/** Bytes of this process: its own memory, and mapped pages of files, which the system may drop and read again. */
export const memoryOfProcess = () => {
  const status = readFileSync('/proc/self/status', 'utf8')
  const bytes = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  return { own: bytes('RssAnon'), mapped: bytes('RssFile'), peak: bytes('VmHWM') }
}

/** Pages that the system has swapped out since it started. */
export const pagesSwapped = (): number => Number(/^pswpout (\d+)/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1])
