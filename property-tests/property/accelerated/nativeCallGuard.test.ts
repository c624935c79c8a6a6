/** The count of running native calls: a thread is terminated only when it is in none, also after a call has failed. */
import { expect, it } from 'vitest'
import { callCount, countCalls, guardNativeCall, waitUntilIdle } from '../../../accelerated/engines/nativeCallGuard.js'

it('counts a native call while it runs, and no longer once it has ended or failed', async () => {
  const count = callCount()
  countCalls(count)
  try {
    let end = (): void => undefined
    const running = guardNativeCall(() => new Promise<string>((resolve) => (end = () => resolve('done'))))
    expect(count[0]).toBe(1)
    let polls = 0
    expect(await waitUntilIdle(count, () => polls++ < 3), 'while a call runs').toBe(false)
    end()
    expect([await running, count[0]]).toEqual(['done', 0])
    await expect(guardNativeCall(() => Promise.reject(new Error('out of memory')))).rejects.toThrow('out of memory')
    expect(count[0]).toBe(0)
    expect(await waitUntilIdle(count, () => true)).toBe(true)
  } finally {
    countCalls(callCount()) // other tests of this process go through the guard too
  }
})
