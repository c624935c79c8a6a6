/**
 * Guards calls of ONNX Runtime in threads that may be terminated. Termination during a call aborts the process, because the binding throws where
 * nothing can catch. A thread and its owner share a count of running calls; the first of them to change it wins.
 */

/** The number of running calls; below zero, no call starts any more. */
export type CallCount = Int32Array<SharedArrayBuffer>

const terminating = -1

export const callCount = (): CallCount => new Int32Array(new SharedArrayBuffer(4))

let ownCount: CallCount | null = null

/**
 * Options of a thread, which inherits Node's. Of a program given as text (`node --input-type=module -e …`) it inherits none: it would refuse to read a
 * file. Naming those to inherit does not work, since a thread refuses to be given V8's, such as --max-old-space-size.
 */
export const threadOptions = (): { readonly execArgv?: string[] } =>
  process.execArgv.some((option) => option.startsWith('--input-type')) ? { execArgv: [] } : {}

/** Makes this thread count its calls here. */
export const countCalls = (count: CallCount): void => {
  ownCount = count
}

/** Calls the library. In a thread that is being terminated, the call never starts. */
export const guardNativeCall = async <T>(call: () => Promise<T>): Promise<T> => {
  if (ownCount === null) return call()
  const count = ownCount
  for (let at = Atomics.load(count, 0); ; at = Atomics.load(count, 0)) {
    if (at === terminating)
      Atomics.wait(count, 0, terminating) // until this thread ends
    else if (Atomics.compareExchange(count, 0, at, at + 1) === at) break
  }
  try {
    return await call()
  } finally {
    Atomics.sub(count, 0, 1)
  }
}

/** Milliseconds between polls. */
const interval = 5

/** Waits until the thread is in no call; it then starts none and can be terminated. False if `wanted` becomes false first. */
export const waitUntilIdle = async (count: CallCount, wanted: () => boolean): Promise<boolean> => {
  while (wanted()) {
    if (Atomics.compareExchange(count, 0, 0, terminating) <= 0) return true
    await new Promise((resolve) => setTimeout(resolve, interval))
  }
  return false
}
