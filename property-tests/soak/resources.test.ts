/** The soak's own measure: it finds a leaked descriptor, listener and buffer, and nothing where all is given back. */
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { flat, resourcesNow } from './resources.js'

describe.skipIf(!existsSync('/proc/self/fd'))('the resources of a process', () => {
  it('have grown by what is still held, and by nothing once it is given back', async () => {
    const { signal } = new AbortController()
    const listener = (): void => undefined
    const before = await resourcesNow(signal, 3)
    const file = await open('package.json')
    const held = [Buffer.alloc(200 * 2 ** 20, 1)]
    process.on('SIGUSR2', listener)
    signal.addEventListener('abort', listener)
    const during = await resourcesNow(signal, 3)
    held.pop()
    await file.close()
    process.off('SIGUSR2', listener)
    signal.removeEventListener('abort', listener)
    const after = await resourcesNow(signal, 3)
    expect([during.descriptors - before.descriptors, during.listeners - before.listeners]).toEqual([1, 2])
    expect(flat('x', before, during, 100).map(({ check, ok }) => [check, ok])).toEqual([
      ['megabytes', false],
      ['descriptors', false],
      ['listeners', false],
    ])
    expect(flat('x', before, after, 100).filter(({ ok }) => !ok)).toEqual([])
  })
})
