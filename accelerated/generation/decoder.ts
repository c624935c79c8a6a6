/** An open decoder: rows of tokens that grow by one token a step, and their cache, which each step reads and writes in place. */
import type { Layer } from '../models/architecture.js'
import { noVirtualTokens } from '../models/packing.js'
import type { Results, Session } from '../engines/engine.js'
import { floatFeed, int32Feed, type Feed, type Feeds } from '../engines/feeds.js'
import { layoutOf, type Assembly } from '../training/assembly.js'
import { zeros, type Vector } from '../parameters/vectors.js'
import type { Runtime } from '../training/phaseSessions.js'
import { blockFeeds } from '../training/stateBuffers.js'
import { decodingGraph, parts, pastName, presentName } from './graph.js'

/** Logits of one row, over the vocabulary. */
export type Logits = Float32Array | Float64Array

/** A row continues row `from` of the previous step with one more token. */
export type Continuation = { readonly from: number; readonly token: number }

export type DecodedRows = {
  /** the logits of each row's next token */
  readonly logits: () => ReadonlyArray<Logits>
  /** Rows may be dropped, repeated and reordered. */
  readonly append: (rows: ReadonlyArray<Continuation>) => Promise<void>
}

export type Decoder = {
  readonly assembly: Assembly
  /** for a prompt and its continuation together */
  readonly positions: number
  /** Reads prompts of at least one token, a row each. */
  readonly begin: (prompts: ReadonlyArray<ReadonlyArray<number>>) => Promise<DecodedRows>
  readonly release: () => Promise<void>
}

/** exp(−1e9) is 0 in float32 and float64. */
const paddingBias = -1e9

/** Long prompts are read in chunks, since the attention scores of all their token pairs are large. */
const usualChunk = 512

/**
 * @param phase one without gate noise: see `inference` of MethodPhases @param parameters in the phase's layout
 * @param chunk tokens of a row to read at once
 */
export const openDecoder = async (
  assembly: Assembly,
  phase: unknown,
  parameters: Vector,
  { engine, weights }: Runtime,
  chunk = usualChunk,
): Promise<Decoder> => {
  const { model, precision } = assembly
  const { dtype } = precision
  const virtual = virtualSlots(assembly)
  const session = await engine.open(decodingGraph(assembly, phase), weights, { mode: 'decode' })
  const read = readerOf(assembly, session, blockFeeds(layoutOf(assembly, phase), 'parameters', parameters, dtype))

  const begin: Decoder['begin'] = async (prompts) => {
    const longest = Math.max(...prompts.map(({ length }) => length + virtual.inside))
    if (prompts.length === 0 || prompts.some(({ length }) => length === 0))
      throw new Error(`begin: expected prompts of at least one token, got lengths [${prompts.map(({ length }) => length)}]`)
    let padding = prompts.map(({ length }) => longest - length - virtual.inside)
    const memory = cacheMemory(model.spec.layers, prompts.length, dtype)
    const rows = prompts.map((ids, row) => [...new Array<number>((padding[row] ?? 0) + virtual.inside).fill(0), ...ids])
    let logits = zeros(0, dtype)
    for (let start = 0; start < longest; start += chunk)
      logits = await read(
        rows.map((ids) => ids.slice(start, start + chunk)),
        padding,
        memory,
      )
    return {
      logits: () => padding.map((_, row) => logits.subarray(row * model.vocabularySize, (row + 1) * model.vocabularySize)),
      append: async (next) => {
        padding = next.map(({ from }) => padding[from] ?? 0)
        memory.select(next.map(({ from }) => from))
        logits = await read(
          next.map(({ token }) => [token]),
          padding,
          memory,
        )
      },
    }
  }
  return { assembly, positions: model.spec.maxPositions - virtual.count, begin, release: session.release }
}

/** count: virtual tokens of the method · inside: those that take slots, at the start of a row */
const virtualSlots = ({ method, settings }: Assembly): { readonly count: number; readonly inside: number } => {
  const { count, at } = method.train.virtualTokens?.(settings) ?? noVirtualTokens
  return { count, inside: at === 'embeddings' ? count : 0 }
}

/** Reads the next columns of all rows, after the tokens in the cache, and returns the logits of the last. padding: slots before each row */
type ReadColumns = (columns: ReadonlyArray<ReadonlyArray<number>>, padding: ReadonlyArray<number>, memory: CacheMemory) => Promise<Vector>

const readerOf = (assembly: Assembly, session: Session, trained: Feeds): ReadColumns => {
  const { model, precision } = assembly
  const { dtype } = precision
  const { count, inside } = virtualSlots(assembly)
  return async (columns, padding, memory) => {
    const [batch, sequence, past] = [columns.length, columns[0]?.length ?? 0, memory.tokens()]
    const all = past + sequence
    const slots = padding.flatMap((before) => Array.from({ length: sequence }, (_, i) => past + i - before)) // below 0: padding
    const positions = slots.map((slot) => Math.max(0, slot) + count - inside)
    const virtualTokens = slots.map((slot) => (slot < 0 ? inside : Math.min(slot, inside)))
    const keyBias = zeros(batch * all, dtype)
    padding.forEach((before, row) => {
      keyBias.fill(paddingBias, row * all, row * all + Math.min(before, all))
    })
    const feeds: Feeds = {
      ...trained,
      ...memory.feeds(),
      inputIds: int32Feed(Int32Array.from(columns.flat()), [batch, sequence]),
      positions: int32Feed(Int32Array.from(positions), [batch, sequence]),
      virtualToken: int32Feed(Int32Array.from(virtualTokens), [batch, sequence]),
      keyBias: floatFeed(keyBias, [batch, all], dtype),
      lastOfRow: int32Feed(Int32Array.from(columns, (_, row) => row * sequence + sequence - 1)),
    }
    const logits = { data: zeros(batch * model.vocabularySize, dtype), shape: [batch, model.vocabularySize] }
    const results = await session.run(feeds, { logits, ...memory.room(sequence) })
    memory.take(results, sequence)
    return floatsOf(results, 'logits')
  }
}

/** The whole buffer behind a part. */
const whole = (part: Vector): Vector => (part instanceof Float64Array ? new Float64Array(part.buffer) : new Float32Array(part.buffer))

type CacheMemory = {
  readonly tokens: () => number
  readonly feeds: () => Feeds
  /** buffers for the cache with `more` tokens */
  readonly room: (more: number) => Feeds
  /** takes the results, which some engines write to memory of their own */
  readonly take: (results: Results, more: number) => void
  readonly select: (rows: ReadonlyArray<number>) => void
}

/** Two buffers for each part of each layer: a step reads one and writes the other, in turns. */
const cacheMemory = (layers: ReadonlyArray<Layer>, rowsAtFirst: number, dtype: 'float32' | 'float64'): CacheMemory => {
  let [rows, tokens] = [rowsAtFirst, 0]
  const tensors = layers.flatMap((layer) =>
    parts.map((part) => {
      const width = layer.heads * layer.headSize
      let [numbers, spare] = [zeros(0, dtype), zeros(0, dtype)]
      const shape = (count: number): ReadonlyArray<number> => [rows, layer.heads, count, layer.headSize]
      const roomFor = (size: number): Vector => {
        if (spare.length < size) spare = zeros(Math.ceil(1.5 * size), dtype)
        return spare.subarray(0, size)
      }
      const turn = (written: Vector): void => {
        ;[numbers, spare] = [written, whole(numbers)]
      }
      return {
        names: [pastName(layer.name, part), presentName(layer.name, part)] as const,
        feed: (): Feed => ({ data: numbers, shape: shape(tokens) }),
        room: (more: number): Feed => ({ data: roomFor(rows * width * (tokens + more)), shape: shape(tokens + more) }),
        turn,
        select: (from: ReadonlyArray<number>): void => {
          const size = width * tokens
          const selected = roomFor(from.length * size)
          from.forEach((row, to) => {
            selected.set(numbers.subarray(row * size, (row + 1) * size), to * size)
          })
          turn(selected)
        },
      }
    }),
  )
  return {
    tokens: () => tokens,
    feeds: () => Object.fromEntries(tensors.map(({ names: [past], feed }) => [past, feed()])),
    room: (more) => Object.fromEntries(tensors.map(({ names: [, present], room }) => [present, room(more)])),
    take: (results, more) => {
      for (const { names, turn } of tensors) turn(floatsOf(results, names[1]))
      tokens += more
    },
    select: (from) => {
      if (from.length === rows && from.every((row, to) => row === to)) return
      for (const { select } of tensors) select(from)
      rows = from.length
    },
  }
}

const floatsOf = (results: Results, name: string): Vector => {
  const values = results[name]
  if (values instanceof Float32Array || values instanceof Float64Array) return values
  throw new Error(`decoder: expected floating-point numbers of ${name}, got ${values === undefined ? 'none' : 'others'}`)
}
