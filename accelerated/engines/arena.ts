/**
 * A simulation of ONNX Runtime's arena. It asks the system for regions, each twice as large as the one before, splits them into chunks and returns
 * none. A process holds every page that was ever written, which is more than the peak in use. A chunk is split only if it is twice the requested size,
 * and neighbors that are free at different times cannot serve a larger request.
 */
import type { Allocation } from '../graph/liveness.js'

type Region = { readonly number: number; readonly bytes: number; written: number }
type Chunk = { readonly region: Region; readonly start: number; bytes: number; free: boolean; before: Chunk | null; after: Chunk | null }

/** Sizes are rounded up to multiples of this. */
const grain = 256
const firstRegion = 2 ** 20
/** A chunk that would waste more is split. */
const largestWaste = 2 ** 27

/** The bytes that are written while the arena serves these allocations. */
export const simulateArena = (events: readonly Allocation[]): number => {
  const regions: Region[] = []
  const free = new Set<Chunk>()
  const taken = new Map<object, Chunk>()
  let next = firstRegion

  const grow = (bytes: number): Chunk => {
    const doubled = next < bytes
    while (next < bytes) next *= 2
    const region: Region = { number: regions.length, bytes: next, written: 0 }
    if (!doubled) next *= 2
    regions.push(region)
    const chunk: Chunk = { region, start: 0, bytes: region.bytes, free: true, before: null, after: null }
    free.add(chunk)
    return chunk
  }
  const allocate = (buffer: object, requested: number): void => {
    const bytes = Math.max(grain, Math.ceil(requested / grain) * grain)
    const chunk = [...free].filter((candidate) => candidate.bytes >= bytes).reduce<Chunk | null>(smaller, null) ?? grow(bytes)
    free.delete(chunk)
    chunk.free = false
    if (chunk.bytes >= 2 * bytes || chunk.bytes - bytes >= largestWaste) {
      const rest: Chunk = { ...chunk, start: chunk.start + bytes, bytes: chunk.bytes - bytes, free: true, before: chunk }
      if (rest.after !== null) rest.after.before = rest
      chunk.after = rest
      chunk.bytes = bytes
      free.add(rest)
    }
    chunk.region.written = Math.max(chunk.region.written, chunk.start + requested)
    taken.set(buffer, chunk)
  }
  const release = (buffer: object): void => {
    const chunk = taken.get(buffer)
    if (chunk === undefined) return
    taken.delete(buffer)
    chunk.free = true
    free.add(chunk)
    if (chunk.after?.free === true) join(chunk, chunk.after)
    if (chunk.before?.free === true) join(chunk.before, chunk)
  }
  const join = (chunk: Chunk, after: Chunk): void => {
    free.delete(after)
    chunk.bytes += after.bytes
    chunk.after = after.after
    if (after.after !== null) after.after.before = chunk
  }
  for (const { buffer, bytes } of events) {
    if (bytes > 0) allocate(buffer, bytes)
    else release(buffer)
  }
  return regions.reduce((sum, { written }) => sum + written, 0)
}

/** The smaller of two chunks; of equal ones the first in the arena. */
const smaller = (best: Chunk | null, chunk: Chunk): Chunk => {
  if (best === null || chunk.bytes !== best.bytes) return best === null || chunk.bytes < best.bytes ? chunk : best
  const place = ({ region, start }: Chunk): number => region.number * 2 ** 40 + start
  return place(chunk) < place(best) ? chunk : best
}
