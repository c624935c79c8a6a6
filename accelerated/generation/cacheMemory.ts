/** The memory of a decoder's cache: the buffers that a step reads and writes, for rows that end in the same slot and grow by the same number of tokens. */
import type { FloatType } from '../graph/expression.js'
import type { Layer } from '../models/architecture.js'
import type { Results } from '../engines/engine.js'
import type { Feed, Feeds } from '../engines/feeds.js'
import { zeros, type Vector } from '../parameters/vectors.js'
import { parts, pastName, presentName, type Part } from './graph.js'

/** The memory of all rows, or of one. */
export type RowMemory = {
  /** cached tokens of a row, padding included */
  readonly tokens: () => number
  readonly feeds: () => Feeds
  /** buffers for the cache with `more` tokens */
  readonly room: (more: number) => Feeds
  /** takes the results, which some engines write to memory of their own */
  readonly take: (results: Results, more: number) => void
}

export type CacheMemory = RowMemory & {
  /** @param without slots at the start of each row, which it forgets */
  readonly select: (rows: readonly number[], without?: number) => void
  /** Adds the rows of another memory of the same kind after these; the shorter ones get padding before them. */
  readonly join: (other: RowMemory) => void
  /** Forgets all tokens after the first `count`. */
  readonly keep: (count: number) => void
  /** Of a cache that stays on the device: `grow` counts tokens whose numbers are only there, and `refresh` takes them. Absent: it stays nowhere. */
  readonly onDevice?: { readonly grow: (more: number) => void; readonly refresh: (results: Results) => void }
  /** Row `row` alone, after `start` slots of padding. All rows must be read to the same length. Absent: a run reads all rows. */
  readonly byRow?: (row: number, start: number) => RowMemory
}

/** Two buffers for each part of each layer: a step reads one and writes the other, in turns. */
export const growingMemory = (layers: readonly Layer[], rowsAtFirst: number, dtype: FloatType): CacheMemory => {
  let [rows, tokens] = [rowsAtFirst, 0]
  const tensors = layers.flatMap((layer) =>
    parts.map((part) => {
      const width = layer.heads * layer.headSize
      let [numbers, spare] = [zeros(0, dtype), zeros(0, dtype)]
      const shape = (count: number): readonly number[] => [rows, layer.heads, count, layer.headSize]
      const roomFor = (size: number): Vector => {
        if (spare.length < size) spare = zeros(Math.ceil(1.5 * size), dtype)
        return spare.subarray(0, size)
      }
      const turn = (written: Vector): void => {
        ;[numbers, spare] = [written, fullBuffer(numbers)]
      }
      return {
        names: [pastName(layer.name, part), presentName(layer.name, part)] as const,
        feed: (): Feed => ({ data: numbers, shape: shape(tokens) }),
        room: (more: number): Feed => ({ data: roomFor(rows * width * (tokens + more)), shape: shape(tokens + more) }),
        turn,
        select: (from: readonly number[], without: number): void => {
          const selected = roomFor(from.length * width * (tokens - without))
          copyRows({ data: numbers, shape: shape(tokens) }, from, { first: without, count: tokens - without }, selected, 0)
          turn(selected)
        },
        keep: (count: number): void => {
          const kept = roomFor(rows * width * count)
          copyRows({ data: numbers, shape: shape(tokens) }, range(rows), { first: 0, count }, kept, 0)
          turn(kept)
        },
        join: (theirs: Feed, theirTokens: number, joined: number): void => {
          const [all, size] = [roomFor((rows + (theirs.shape[0] ?? 0)) * width * joined), width * joined]
          copyRows(
            { data: numbers, shape: shape(tokens) },
            range(rows),
            { first: 0, count: tokens },
            all.subarray(0, rows * size),
            joined - tokens,
          )
          copyRows(theirs, range(theirs.shape[0] ?? 0), { first: 0, count: theirTokens }, all.subarray(rows * size), joined - theirTokens)
          turn(all)
        },
      }
    }),
  )
  const refresh = (results: Results): void => {
    for (const { names, turn } of tensors) turn(readFloats(results, names[1]))
  }
  return {
    tokens: () => tokens,
    feeds: () => Object.fromEntries(tensors.map(({ names: [past], feed }) => [past, feed()])),
    room: (more) => Object.fromEntries(tensors.map(({ names: [, present], room }) => [present, room(more)])),
    take: (results, more) => {
      refresh(results)
      tokens += more
    },
    select: (from, without = 0) => {
      if (isSame(from, rows) && without === 0) return
      for (const { select } of tensors) select(from, without)
      rows = from.length
      tokens -= without
    },
    keep: (count) => {
      for (const { keep } of tensors) keep(count)
      tokens = count
    },
    join: (other) => {
      const [feeds, joined] = [other.feeds(), Math.max(tokens, other.tokens())]
      for (const { names, join } of tensors) join(findFeed(feeds, names[0]), other.tokens(), joined)
      rows += rowsIn(feeds)
      tokens = joined
    },
    onDevice: {
      grow: (more) => {
        tokens += more
      },
      refresh,
    },
  }
}

/** The outputs of a growing cache, and the inputs that take them at the next token. */
export const cacheCarry = (layers: readonly Layer[]): Readonly<Record<string, string>> =>
  Object.fromEntries(layers.flatMap(({ name }) => parts.map((part) => [presentName(name, part), pastName(name, part)] as const)))

/** Whether these rows are all rows, in their order. */
export const isSame = (from: readonly number[], rows: number): boolean => from.length === rows && from.every((row, to) => row === to)

/** The whole buffer behind a part. */
const fullBuffer = (part: Vector): Vector => (part instanceof Float64Array ? new Float64Array(part.buffer) : new Float32Array(part.buffer))

/**
 * One buffer for each part of each layer, with room for more tokens than it has: a step reads it and writes into it. If it is full, it grows by half.
 * @param capacityAtFirst tokens of a row
 */
export const roomyMemory = (layers: readonly Layer[], rowsAtFirst: number, capacityAtFirst: number): CacheMemory => {
  let [rows, tokens, capacity] = [rowsAtFirst, 0, capacityAtFirst]
  const buffers = layers.flatMap((layer) => parts.map((part) => roomyBuffer(layer, part, rows, capacity)))
  const feeds = (first: number, count: number): Feeds => Object.fromEntries(buffers.map(({ past, feed }) => [past, feed(first, count)]))
  const room = (first: number, count: number): Feeds =>
    Object.fromEntries(buffers.map(({ present, feed }) => [present, feed(first, count)]))
  const take = (results: Results, first: number): void => {
    for (const { present, take: takeOne } of buffers) takeOne(readFloats(results, present), first)
  }
  return {
    tokens: () => tokens,
    feeds: () => feeds(0, rows),
    room: (more) => {
      if (tokens + more > capacity) {
        capacity = Math.ceil(1.5 * (tokens + more))
        for (const { grow } of buffers) grow(capacity)
      }
      return room(0, rows)
    },
    take: (results, more) => {
      take(results, 0)
      tokens += more
    },
    select: (from, without = 0) => {
      if (isSame(from, rows) && without === 0) return
      for (const { select } of buffers) select(from, without)
      rows = from.length
      tokens -= without
    },
    keep: (count) => {
      tokens = count
    },
    join: (other) => {
      const [feeds, joined] = [other.feeds(), Math.max(tokens, other.tokens())]
      if (joined > capacity) capacity = Math.ceil(1.5 * joined)
      for (const { past, join } of buffers) join(findFeed(feeds, past), { tokens, theirTokens: other.tokens(), joined, capacity })
      rows += rowsIn(feeds)
      tokens = joined
    },
    byRow: (row, start) => {
      let read = start
      return {
        tokens: () => read,
        feeds: () => feeds(row, 1),
        room: () => room(row, 1),
        take: (results, more) => {
          take(results, row)
          read += more
          tokens = read
        },
      }
    },
  }
}

/** One part of one layer: [rows, heads, capacity, headSize] */
const roomyBuffer = ({ name, heads, headSize }: Layer, part: Part, rows: number, capacityAtFirst: number) => {
  let capacity = capacityAtFirst
  const rowSize = (): number => heads * capacity * headSize
  let [numbers, spare] = [new Float32Array(rows * rowSize()), new Float32Array(0)]
  return {
    past: pastName(name, part),
    present: presentName(name, part),
    /** `count` rows from `first` on */
    feed: (first: number, count: number): Feed => ({
      data: numbers.subarray(first * rowSize(), (first + count) * rowSize()),
      shape: [count, heads, capacity, headSize],
    }),
    /** Takes rows that an engine wrote elsewhere. */
    take: (written: Vector, first: number): void => {
      if (written.buffer !== numbers.buffer) numbers.set(written, first * rowSize())
    },
    grow: (larger: number): void => {
      const count = numbers.length / rowSize()
      const roomier = new Float32Array(count * heads * larger * headSize)
      copyRows({ data: numbers, shape: [count, heads, capacity, headSize] }, range(count), { first: 0, count: capacity }, roomier, 0)
      ;[numbers, capacity] = [roomier, larger]
    },
    select: (from: readonly number[], without: number): void => {
      const size = from.length * rowSize()
      const selected = spare.length === size ? spare : new Float32Array(size)
      const shape = [numbers.length / rowSize(), heads, capacity, headSize]
      copyRows({ data: numbers, shape }, from, { first: without, count: capacity - without }, selected, 0)
      ;[numbers, spare] = [selected, numbers]
    },
    join: (
      theirs: Feed,
      { tokens, theirTokens, joined, capacity: larger }: Readonly<Record<'tokens' | 'theirTokens' | 'joined' | 'capacity', number>>,
    ): void => {
      const [count, theirCount] = [numbers.length / rowSize(), theirs.shape[0] ?? 0]
      const ours: Feed = { data: numbers, shape: [count, heads, capacity, headSize] }
      const size = heads * larger * headSize
      const all = new Float32Array((count + theirCount) * size)
      copyRows(ours, range(count), { first: 0, count: tokens }, all.subarray(0, count * size), joined - tokens)
      copyRows(theirs, range(theirCount), { first: 0, count: theirTokens }, all.subarray(count * size), joined - theirTokens)
      ;[numbers, spare, capacity] = [all, new Float32Array(0), larger]
    },
  }
}

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i)

const rowsIn = (feeds: Feeds): number => Object.values(feeds)[0]?.shape[0] ?? 0

const findFeed = (feeds: Feeds, name: string): Feed => {
  const feed = feeds[name]
  if (feed === undefined) throw new Error(`cacheMemory: expected ${name}, got none`)
  return feed
}

/**
 * Copies slots of rows to `target`, where those before `start` become 0: a number that is no number would reach every row through them.
 * @param source [rows, heads, slots, headSize] @param target of as many rows as `from` has
 */
const copyRows = (
  { data, shape: [, heads = 1, slots = 0, headSize = 1] }: Feed,
  from: readonly number[],
  { first, count }: { readonly first: number; readonly count: number },
  target: Vector,
  start: number,
): void => {
  const [before, after] = [slots * headSize, target.length / (from.length * heads)]
  from.forEach((row, to) => {
    for (let head = 0; head < heads; head++) {
      const [source, at] = [(row * heads + head) * before + first * headSize, (to * heads + head) * after]
      target.fill(0, at, at + start * headSize)
      target.set((data as Vector).subarray(source, source + count * headSize), at + start * headSize)
    }
  })
}

export const readFloats = (results: Results, name: string): Vector => {
  const values = results[name]
  if (values instanceof Float32Array || values instanceof Float64Array) return values
  throw new Error(`decoder: expected floating-point numbers of ${name}, got ${values === undefined ? 'none' : 'others'}`)
}
