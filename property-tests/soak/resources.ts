/** What a process holds: memory, descriptors and listeners, and whether they have grown. */
import { getEventListeners } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** One line of the table at the end. */
export type Check = { readonly part: string; readonly check: string; readonly got: string; readonly expected: string; readonly ok: boolean }

export type Resources = { readonly megabytes: number; readonly descriptors: number; readonly listeners: number }

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const listenersOf = (signal: AbortSignal): number =>
  process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), getEventListeners(signal, 'abort').length)

const openDescriptors = (): number => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0)

/**
 * After garbage is collected and threads that end have ended. Descriptors are the fewest of several looks: a file that is being read, or a
 * connection that is closing, is no leak. @param signal is passed to everything that runs
 */
export const resourcesNow = async (signal: AbortSignal, looks = 25): Promise<Resources> => {
  let descriptors = Infinity
  for (let i = 0; i < looks; i++) {
    if (i % 8 === 0) collect()
    await pause(200)
    descriptors = Math.min(descriptors, openDescriptors())
  }
  return { megabytes: process.memoryUsage.rss() / 2 ** 20, descriptors, listeners: listenersOf(signal) }
}

/** The checks that nothing has grown. @param megabytes that the allocator and V8 may keep */
export const flat = (part: string, before: Resources, after: Resources, megabytes: number): ReadonlyArray<Check> => {
  const check = (what: keyof Resources, allowed: number): Check => ({
    part,
    check: what,
    got: `${before[what].toFixed(0)} → ${after[what].toFixed(0)}`,
    expected: `at most ${allowed} more`,
    ok: after[what] - before[what] <= allowed,
  })
  return [check('megabytes', megabytes), check('descriptors', 0), check('listeners', 0)]
}
