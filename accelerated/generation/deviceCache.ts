/**
 * A decoder's cache that stays on the device: the session carries it from token to token. It is copied back where rows are dropped, repeated or
 * reordered, and where another text needs the session. One call at a time may use it.
 */
import type { Session } from '../engines/engine.js'
import type { CacheMemory } from './cacheMemory.js'

export type DeviceCache = {
  /** Runs work after the work before it. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>
  /** Whether the device has the cache of this memory. */
  readonly has: (memory: CacheMemory) => boolean
  /** After a run with this memory: the device has its cache, with `more` tokens. */
  readonly took: (memory: CacheMemory, more: number) => void
  /** Copies the cache that the device has into its memory, if that is older. */
  readonly settle: () => Promise<void>
  /** The memory is about to change: the device's cache is of no use then. */
  readonly forget: () => void
}

/** null: the session carries nothing, and each run returns the cache */
export const deviceCache = ({ carried }: Session): DeviceCache | null => {
  if (carried === undefined) return null
  /** isAhead: whether the memory has older numbers than the device */
  let [owner, isAhead]: [CacheMemory | null, boolean] = [null, false]
  let last: Promise<unknown> = Promise.resolve()
  return {
    inTurn: (work) => {
      const turn = last.then(work)
      last = turn.catch(() => undefined)
      return turn
    },
    has: (memory) => owner === memory,
    took: (memory, more) => {
      memory.onDevice?.grow(more)
      ;[owner, isAhead] = [memory, true]
    },
    settle: async () => {
      if (isAhead) owner?.onDevice?.refresh(await carried())
      isAhead = false
    },
    forget: () => {
      owner = null
    },
  }
}

/** Changes a memory on the host, after the numbers that only the device has are there. */
export const changeMemory = (device: DeviceCache | null, memory: CacheMemory, change: () => void): Promise<void> => {
  const changed = async (): Promise<void> => {
    if (device?.has(memory) === true) {
      await device.settle()
      device.forget()
    }
    change()
  }
  return device === null ? changed() : device.inTurn(changed)
}
