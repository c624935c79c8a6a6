/** Standard output that fails: a reader that is gone is the end of the work, and any other error is reported. */
import { afterEach, expect, it, vi } from 'vitest'
import { watchStandardStreams } from '../../cli/salora.js'

afterEach(() => void vi.restoreAllMocks())

it.each([
  ['EPIPE', 1, 0],
  ['EOF', 1, 0], // what Windows reports where other systems report EPIPE
  ['ENOSPC', 0, 1],
])('an error %s ends the program %i times without a message, and %i times with one', (code, exits, reports) => {
  const exit = vi.spyOn(process, 'exit').mockReturnValue(undefined as never)
  const report = vi.fn()
  const before = { out: process.stdout.listeners('error'), err: process.stderr.listeners('error') }
  watchStandardStreams((thrown) => (exit.mock.calls.length === 0 ? report(thrown) : undefined))
  const added = process.stdout.listeners('error').filter((listener) => !before.out.includes(listener))
  for (const listener of added) listener(Object.assign(new Error(code), { code }))
  for (const listener of added) process.stdout.off('error', listener as () => void)
  for (const listener of process.stderr.listeners('error'))
    if (!before.err.includes(listener)) process.stderr.off('error', listener as () => void)
  expect([exit.mock.calls.length, report.mock.calls.length]).toEqual([exits, reports])
})
