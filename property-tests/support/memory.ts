/** Bytes that something holds, outside of JavaScript's heap too: the least and the most of several measurements, as other threads of the process count. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const tries = 7

/** @param make what is measured, made anew for each try */
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
    held.pop() // not before: what is not used again may be collected
    return after - before
  })
  return { least: Math.min(...measured), most: Math.max(...measured) }
}
