/** Bytes that a value holds, in and outside JavaScript's heap: the least and the most of several measurements, because other threads allocate too. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const tries = 7

/** @param make makes the measured value, once per measurement */
export const bytesHeld = (make: () => unknown): { readonly least: number; readonly most: number } => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = (): number => {
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const measured = Array.from({ length: tries }, () => {
    const before = used()
    const held = [make()]
    const after = used()
    held.pop() // not earlier, because an unused value can be collected
    return after - before
  })
  return { least: Math.min(...measured), most: Math.max(...measured) }
}
