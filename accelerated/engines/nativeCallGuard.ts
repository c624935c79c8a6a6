/**
 * Calls of ONNX Runtime, and threads that must end: one that is ended within such a call aborts the whole process (the binding throws where
 * nothing can catch). A thread and the one that may end it share a count of the calls at hand; who comes first, wins.
 */

/** Calls at hand; below zero, none will begin any more. */
export type CallCount = Int32Array<SharedArrayBuffer>

const doomed = -1

export const callCount = (): CallCount => new Int32Array(new SharedArrayBuffer(4))

let own: CallCount | null = null

/** From now on this thread counts its calls here. */
export const countCalls = (count: CallCount): void => {
  own = count
}

/** A call of the library. In a thread that is being ended it never begins. */
export const guardNativeCall = async <T>(call: () => Promise<T>): Promise<T> => {
  if (own === null) return call()
  const count = own
  for (let at = Atomics.load(count, 0); ; at = Atomics.load(count, 0)) {
    if (at === doomed)
      Atomics.wait(count, 0, doomed) // for the end
    else if (Atomics.compareExchange(count, 0, at, at + 1) === at) break
  }
  try {
    return await call()
  } finally {
    Atomics.sub(count, 0, 1)
  }
}

/** Milliseconds between looks. */
const interval = 5

/** Waits until the thread is in no call, after which it begins none and may be ended; false where that is no more `wanted` before. */
export const waitUntilIdle = async (count: CallCount, wanted: () => boolean): Promise<boolean> => {
  while (wanted()) {
    if (Atomics.compareExchange(count, 0, 0, doomed) <= 0) return true
    await new Promise((resolve) => setTimeout(resolve, interval))
  }
  return false
}
