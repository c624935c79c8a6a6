/** On Windows, process.kill sends no SIGHUP, which Windows itself sends when the terminal is closed. */
import { afterEach, expect, it, vi } from 'vitest'
import { onInterrupt, watchInterrupt } from '../../cli/terminal/interrupt.js'

const { platform } = process
afterEach(() => {
  Object.defineProperty(process, 'platform', { value: platform })
  vi.restoreAllMocks()
})

const killsOn = (value: NodeJS.Platform) => {
  Object.defineProperty(process, 'platform', { value })
  return vi.spyOn(process, 'kill').mockReturnValue(true)
}

it.each<readonly [NodeJS.Platform, NodeJS.Signals]>([
  ['win32', 'SIGKILL'],
  ['darwin', 'SIGHUP'],
])('a closed terminal ends a process without a run on %s by %s, after it cleaned up', (system, expected) => {
  const kill = killsOn(system)
  const cleanUp = vi.fn()
  onInterrupt(cleanUp)
  process.emit('SIGHUP', 'SIGHUP')
  expect(cleanUp).toHaveBeenCalledOnce()
  expect(kill.mock.calls).toEqual([[process.pid, expected]])
})

it('a closed terminal stops a run, which then saves', () => {
  const kill = killsOn('win32')
  const interrupt = watchInterrupt(vi.fn(), vi.fn())
  process.emit('SIGHUP', 'SIGHUP')
  interrupt.release()
  expect([interrupt.signal.aborted, interrupt.exitCode(), kill.mock.calls]).toEqual([true, 129, []])
})
