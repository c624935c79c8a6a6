/** An open decoder: rows of tokens that grow by one token a step, and their cache, which each step reads and writes in place. */
import { noVirtualTokens } from '../models/packing.js'
import { type Engine, type Session, watchedWeights } from '../engines/engine.js'
import { floatFeed, int32Feed, type Feeds } from '../engines/feeds.js'
import { buildLayout, type Assembly } from '../training/assembly.js'
import { zeros, type Vector } from '../parameters/vectors.js'
import { headSizeUnit } from '../graph/operators.js'
import type { Runtime } from '../training/phaseSessions.js'
import { fixedParameters, type FixedParameters } from '../training/inferenceGraph.js'
import { cacheCarry, readFloats, growingMemory, isSame, roomyMemory, type CacheMemory, type RowMemory } from './cacheMemory.js'
import { decodingGraph, type CacheKind } from './graph.js'
import { openStack, stackedInputs, type RowAdapter } from './stackedAdapters.js'

/** Logits of one row, over the vocabulary. */
export type Logits = Float32Array | Float64Array

type Tokens = readonly number[]

/** A row continues row `from` of the previous step with one more token. */
export type Continuation = { readonly from: number; readonly token: number }

export type DecodedRows = {
  /** the logits of each row's next token */
  readonly logits: () => readonly Logits[]
  /** Rows may be dropped, repeated and reordered. */
  readonly append: (rows: readonly Continuation[]) => Promise<void>
  /** Puts rows that the same decoder read after these. They are of no use by themselves then. */
  readonly join: (others: DecodedRows) => Promise<void>
  /** what `join` takes of them */
  readonly cached: () => CachedRows
  /** Of a single row: keeps its first `kept` tokens, and reads these after them. */
  readonly reread: (kept: number, tokens: Tokens, signal?: AbortSignal) => Promise<void>
}

/** padding: slots before the row · adapter: absent unless the decoder has those of its rows */
type Row = { readonly padding: number; readonly adapter: RowAdapter | undefined }

export type CachedRows = { readonly memory: CacheMemory; readonly rows: readonly Row[] }

export type Decoder = {
  readonly assembly: Assembly
  /** of every row, unless `begin` is told another */
  readonly adapter?: RowAdapter
  /** for a prompt and its continuation together */
  readonly positions: number
  /**
   * Reads prompts of at least one token, a row each. Calls for other rows take their turns between its chunks. An aborted signal ends it after a
   * chunk: the rows are then of no use. adapters: one for each prompt, of a shared decoder.
   */
  readonly begin: (prompts: readonly Tokens[], signal?: AbortSignal, adapters?: readonly (RowAdapter | undefined)[]) => Promise<DecodedRows>
  /** bytes of the cache for a token of a row */
  readonly tokenBytes: number
  /** Reads a text, and hands over the logits of the token after each of its tokens, until the signal is aborted. */
  readonly score: (
    tokens: Tokens,
    take: (logits: Logits, position: number) => void,
    signal?: AbortSignal,
    adapter?: RowAdapter,
  ) => Promise<void>
  /** @throws ChangedFileError if the files of the weights are no longer those that were opened */
  readonly checkWeights: () => Promise<void>
  readonly release: () => Promise<void>
}

/** exp(−1e9) is 0 in float32 and float64. */
const paddingBias = -1e9

/** Long prompts are read in chunks, since the attention scores of all their token pairs are large. */
export const usualChunk = 512

/** 32 MB of logits in float32. */
const mostLogits = 2 ** 23

/**
 * @param phase one without gate noise: see `inference` of MethodPhases @param parameters in the phase's layout
 * @param chunk tokens of a row to read at once
 */
export const openDecoder = (assembly: Assembly, phase: unknown, parameters: Vector, runtime: Runtime, chunk?: number): Promise<Decoder> => {
  const trained = fixedParameters(buildLayout(assembly, phase), parameters, assembly.precision.dtype, runtime.engine)
  return open(assembly, phase, { ...trained, fixed: Object.keys(trained.feeds), ofRows: () => ({}) }, runtime, chunk)
}

/** A decoder of the base, whose rows each have an adapter of their own. @param assembly of plain LoRA, by its own or any other adapter */
export const openSharedDecoder = (assembly: Assembly, phase: unknown, runtime: Runtime, chunk?: number): Promise<Decoder> => {
  const { model, precision } = assembly
  const { tensors, method } = stackedInputs(assembly)
  return open({ ...assembly, method }, phase, { tensors, feeds: {}, fixed: [], ofRows: openStack(model, precision.dtype) }, runtime, chunk)
}

type TrainedInputs = FixedParameters & {
  /** those of `feeds` that an engine may copy once */
  readonly fixed: readonly string[]
  /** Feeds of a run that follow from its rows' adapters. @param tokens of each row */
  readonly ofRows: (adapters: readonly (RowAdapter | undefined)[], tokens: number) => Feeds
}

const open = async (
  assembly: Assembly,
  phase: unknown,
  trained: TrainedInputs,
  { engine, weights: source }: Runtime,
  chunk = usualChunk,
): Promise<Decoder> => {
  const { model, precision } = assembly
  const { dtype } = precision
  const virtual = virtualSlots(assembly)
  const kind = cacheKind(assembly, engine)
  const { weights, check } = watchedWeights(source)
  const session = await engine.open(decodingGraph(assembly, phase, kind, trained.tensors), weights, {
    ...{ mode: 'decode', fixed: trained.fixed },
    carry: kind === 'growing' ? cacheCarry(model.spec.layers) : {},
  })
  const inTurn = turns()
  const device = deviceCache(session)
  const readNow = makeReader(assembly, session, trained, device)
  const read: ReadColumns = (...call) => inTurn(() => readNow(...call))
  const change = (memory: CacheMemory, work: () => void): Promise<void> => inTurn(() => changeMemory(device, memory, work))
  const { vocabularySize } = model
  const { readChunks, readPrompts } = promptReader(read, chunk, assembly)
  const context: RowsContext = { read, readChunks, change, vocabularySize, inside: virtual.inside }

  const openMemory = (rows: number, longest: number): CacheMemory =>
    kind === 'roomy' ? roomyMemory(model.spec.layers, rows, longest) : growingMemory(model.spec.layers, rows, dtype)

  const score: Decoder['score'] = async (tokens, take, signal, adapter) => {
    const row = [...new Array<number>(virtual.inside).fill(0), ...tokens]
    const [memory, most] = [openMemory(1, row.length), Math.max(1, Math.min(chunk, Math.floor(mostLogits / vocabularySize)))]
    for (let start = 0; start < row.length && signal?.aborted !== true; start += most) {
      const part = row.slice(start, start + most)
      const logits = await read([part], [{ padding: 0, adapter }], memory, [...part.keys()])
      for (const i of part.keys())
        if (start + i >= virtual.inside) take(logits.subarray(i * vocabularySize, (i + 1) * vocabularySize), start + i - virtual.inside)
    }
  }

  const begin: Decoder['begin'] = async (prompts, signal, adapters = []) => {
    const longest = Math.max(...prompts.map(({ length }) => length + virtual.inside))
    if (prompts.length === 0 || prompts.some(({ length }) => length === 0))
      throw new Error(`begin: expected prompts of at least one token, got lengths [${prompts.map(({ length }) => length)}]`)
    const rows = prompts.map(({ length }, row) => ({ padding: longest - length - virtual.inside, adapter: adapters[row] }))
    const memory = openMemory(prompts.length, longest)
    const columns = prompts.map((ids, row) => [...new Array<number>((rows[row]?.padding ?? 0) + virtual.inside).fill(0), ...ids])
    return decodedRows(context, memory, rows, await readPrompts(columns, rows, memory, signal))
  }
  const tokenBytes = model.spec.layers.reduce((sum, { heads, headSize }) => sum + 2 * heads * headSize * zeros(1, dtype).byteLength, 0)
  return {
    assembly,
    positions: model.spec.maxPositions - virtual.count,
    tokenBytes,
    begin,
    score,
    checkWeights: check,
    release: session.release,
  }
}

/** A shared decoder whose rows have this adapter. Its release leaves the shared one open. */
export const withAdapter = (decoder: Decoder, adapter: RowAdapter): Decoder => ({
  ...decoder,
  adapter,
  begin: (prompts, signal, adapters = []) =>
    decoder.begin(
      prompts,
      signal,
      prompts.map((_, row) => adapters[row] ?? adapter),
    ),
  score: (tokens, take, signal) => decoder.score(tokens, take, signal, adapter),
  release: async () => undefined,
})

/** How rows of a decoder are read. inside: virtual tokens in slots at the start of a row */
type RowsContext = {
  readonly read: ReadColumns
  readonly readChunks: ReadRows<RowMemory>
  /** Changes a memory while nothing is read. */
  readonly change: (memory: CacheMemory, work: () => void) => Promise<void>
  readonly vocabularySize: number
  readonly inside: number
}

/** Rows whose prompts are read. @param first logits of the next token of each row */
const decodedRows = (
  { read, readChunks, change, vocabularySize, inside }: RowsContext,
  memory: CacheMemory,
  begun: readonly Row[],
  first: Vector,
): DecodedRows => {
  let rows = begun
  const byRow = (all: Vector): readonly Logits[] => rows.map((_, row) => all.subarray(row * vocabularySize, (row + 1) * vocabularySize))
  let logits = byRow(first)
  return {
    logits: () => logits,
    append: async (next) => {
      const from = next.map((row) => row.from)
      if (!isSame(from, rows.length)) {
        const kept = from.flatMap((row) => rows[row] ?? [])
        const common = Math.min(...kept.map(({ padding }) => padding)) // the longest row has left
        await change(memory, () => memory.select(from, common))
        rows = moved(kept, -common)
      }
      logits = byRow(
        await read(
          next.map(({ token }) => [token]),
          rows,
          memory,
        ),
      )
    },
    cached: () => ({ memory, rows }),
    join: async (others) => {
      const { memory: theirs, rows: theirRows } = others.cached()
      await change(theirs, () => undefined) // on the device alone until now
      const [count, theirCount] = [memory.tokens(), theirs.tokens()]
      await change(memory, () => memory.join(theirs))
      const joined = memory.tokens()
      rows = [...moved(rows, joined - count), ...moved(theirRows, joined - theirCount)]
      logits = [...logits, ...others.logits()]
    },
    reread: async (kept, tokens, stop) => {
      const [row, ...others] = rows
      if (others.length > 0) throw new Error(`reread: expected a single row, got ${rows.length}`)
      await change(memory, () => memory.keep((row?.padding ?? 0) + inside + kept))
      logits = byRow(await readChunks([[...new Array<number>(memory.tokens()).fill(0), ...tokens]], rows, memory, stop))
    },
  }
}

/** Rows with more slots before them. */
const moved = (rows: readonly Row[], more: number): readonly Row[] => rows.map((row) => ({ ...row, padding: row.padding + more }))

/** Runs work after the work before it: a session runs once at a time. */
const turns = () => {
  let last: Promise<unknown> = Promise.resolve()
  return <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }
}

type ReadRows<Memory> = (
  columns: readonly Tokens[],
  rows: readonly Row[],
  memory: Memory,
  signal: AbortSignal | undefined,
) => Promise<Vector>

/** Reads prompts, whose columns come in chunks, until a signal is aborted. */
const promptReader = (read: ReadColumns, chunk: number, { model: { vocabularySize }, precision: { dtype } }: Assembly) => {
  /** Reads whole rows, in chunks of columns. */
  const readChunks: ReadRows<RowMemory> = async (columns, rows, memory, signal) => {
    let logits = zeros(0, dtype)
    for (let start = memory.tokens(); start < (columns[0]?.length ?? 0) && signal?.aborted !== true; start += chunk)
      logits = await read(
        columns.map((ids) => ids.slice(start, start + chunk)),
        rows,
        memory,
      )
    return logits
  }
  const readPrompts: ReadRows<CacheMemory> = async (columns, rows, memory, signal) => {
    const longest = columns[0]?.length ?? 0
    if (memory.byRow === undefined || rows.length === 1 || longest <= chunk) return readChunks(columns, rows, memory, signal)
    const logits = zeros(rows.length * vocabularySize, dtype)
    for (const [at, row] of rows.entries())
      logits.set(await readChunks([columns[at] ?? []], [row], memory.byRow(at, row.padding), signal), at * vocabularySize)
    return logits
  }
  return { readChunks, readPrompts }
}

/**
 * A cache with room is written in place, where the engine has that, and every key is a token's. A prefix of the method is in no cache, and
 * the runtime has heads of certain sizes only.
 */
export const cacheKind = ({ model, method, precision }: Assembly, { cachedAttention }: Pick<Engine, 'cachedAttention'>): CacheKind =>
  cachedAttention === true &&
  precision.dtype === 'float32' &&
  method.train.hook !== 'keyValue' &&
  model.spec.layers.every(({ headSize }) => headSize % headSizeUnit === 0)
    ? 'roomy'
    : 'growing'

/** count: virtual tokens of the method · inside: those that take slots, at the start of a row */
const virtualSlots = ({ method, settings }: Assembly): { readonly count: number; readonly inside: number } => {
  const { count, at } = method.train.virtualTokens?.(settings) ?? noVirtualTokens
  return { count, inside: at === 'embeddings' ? count : 0 }
}

/**
 * Reads the next columns of all rows, after the tokens in the cache, and returns the logits of the last, or of those at `wanted` among the tokens of
 * all rows.
 */
type ReadColumns = (columns: readonly Tokens[], rows: readonly Row[], memory: RowMemory, wanted?: readonly number[]) => Promise<Vector>

const makeReader = (assembly: Assembly, session: Session, trained: TrainedInputs, device: DeviceCache | null): ReadColumns => {
  const roomy = session.inputs.includes('keyCount')
  const { model, precision } = assembly
  const { dtype } = precision
  const { count, inside } = virtualSlots(assembly)
  return async (columns, rows, memory, given) => {
    const [batch, sequence, past] = [columns.length, columns[0]?.length ?? 0, memory.tokens()]
    const all = past + sequence
    const wanted = given ?? columns.map((_, row) => row * sequence + sequence - 1)
    const slots = rows.flatMap(({ padding }) => Array.from({ length: sequence }, (_, i) => past + i - padding)) // below 0: padding
    const positions = slots.map((slot) => Math.max(0, slot) + count - inside)
    const virtualTokens = slots.map((slot) => (slot < 0 ? inside : Math.min(slot, inside)))
    const keyBias = zeros(batch * all, dtype)
    rows.forEach(({ padding }, row) => {
      keyBias.fill(paddingBias, row * all, row * all + Math.min(padding, all))
    })
    const adapters = rows.map(({ adapter }) => adapter)
    const feeds: Feeds = {
      ...trained.feeds,
      ...trained.ofRows(adapters, sequence),
      ...(roomy ? { keyCount: int32Feed(Int32Array.of(all)) } : {}),
      inputIds: int32Feed(Int32Array.from(columns.flat()), [batch, sequence]),
      positions: int32Feed(Int32Array.from(positions), [batch, sequence]),
      virtualToken: int32Feed(Int32Array.from(virtualTokens), [batch, sequence]),
      keyBias: floatFeed(keyBias, [batch, all], dtype),
      wanted: int32Feed(Int32Array.from(wanted)),
    }
    const logits = { data: zeros(wanted.length * model.vocabularySize, dtype), shape: [wanted.length, model.vocabularySize] }
    if (device !== null) return readOnDevice(session, device, memory as CacheMemory, feeds, sequence)
    const room = memory.room(sequence)
    const results = await session.run({ ...feeds, ...memory.feeds() }, { logits, ...room })
    memory.take(results, sequence)
    return readFloats(results, 'logits')
  }
}

/** The same where the cache stays on the device. A memory whose rows may be read one by one is no cache of a device. */
const readOnDevice = async (session: Session, device: DeviceCache, memory: CacheMemory, feeds: Feeds, more: number): Promise<Vector> => {
  const isThere = device.has(memory)
  if (!isThere) await device.settle()
  const results = await session.run(isThere ? feeds : { ...feeds, ...memory.feeds() })
  device.took(memory, more)
  return readFloats(results, 'logits')
}

/**
 * A decoder's cache that stays on the device: the session carries it from token to token. It is copied back where rows are dropped, repeated or
 * reordered, and where another text needs the session. One call at a time may use it.
 */
type DeviceCache = {
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
const deviceCache = ({ carried }: Session): DeviceCache | null => {
  if (carried === undefined) return null
  /** isAhead: whether the memory has older numbers than the device */
  let [owner, isAhead]: [CacheMemory | null, boolean] = [null, false]
  return {
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
const changeMemory = async (device: DeviceCache | null, memory: CacheMemory, change: () => void): Promise<void> => {
  if (device?.has(memory) === true) {
    await device.settle()
    device.forget()
  }
  change()
}

/**
 * A single prompt that begins with the tokens of the last text keeps their part of the cache. Several prompts, and texts of several rows (beams),
 * begin anew. Logits differ from those of a fresh start by rounding alone.
 */
export const keepingCache = (decoder: Decoder): Decoder => {
  let last: { readonly rows: DecodedRows; readonly tokens: readonly number[] } | null = null
  const begin: Decoder['begin'] = async (prompts, signal) => {
    const [[prompt = []] = [], before] = [prompts, last]
    last = null // until the tokens are read
    if (prompts.length !== 1) return decoder.begin(prompts, signal)
    const same = Math.min(sharedLength(before?.tokens ?? [], prompt), prompt.length - 1) // the last token's logits are needed
    const rows = before !== null && same > 0 ? before.rows : await decoder.begin(prompts, signal)
    if (before !== null && same > 0) await rows.reread(same, prompt.slice(same), signal)
    if (signal?.aborted !== true) last = { rows, tokens: prompt }
    return {
      ...rows,
      append: async (next) => {
        const read = last
        last = null
        await rows.append(next)
        const [only] = next
        if (read?.rows === rows && next.length === 1 && only !== undefined) last = { rows, tokens: [...read.tokens, only.token] }
      },
      join: (others) => {
        last = null
        return rows.join(others)
      },
    }
  }
  return { ...decoder, begin }
}

const sharedLength = (a: readonly number[], b: readonly number[]): number => {
  const different = a.findIndex((token, i) => token !== b[i])
  return different < 0 ? a.length : different
}
