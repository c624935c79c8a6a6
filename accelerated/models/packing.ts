/** Packing: turns examples of different lengths into the feeds of one batch, token after token without padding. */
import { type Feeds, floatFeed, int32Feed } from '../engines/feeds.js'
import type { FloatType } from '../graph/expression.js'
import { planBlocks } from './batchInputs.js'

/** Without token types, all are 0. */
export type TokenizedExample = {
  readonly inputIds: ArrayLike<number>
  readonly tokenTypeIds?: ArrayLike<number> | undefined
  /** the end of each text if several share the example; a batch treats each as a sequence of its own */
  readonly ends?: readonly number[] | undefined
}

/** Examples by index: a list, or a source that makes them on demand. */
export type Examples<E> = { readonly length: number; readonly at: (index: number) => E | undefined }

/** The number of tokens of each example. */
export const measureLengths = (examples: Examples<TokenizedExample>): Int32Array =>
  Int32Array.from({ length: examples.length }, (_, i) => examples.at(i)?.inputIds.length ?? 0)

/** The examples at these indices. */
export const pickExamples = <E>(examples: Examples<E>, numbers: readonly number[]): readonly E[] =>
  numbers.map((number) => examples.at(number) as E)

export type PackedBatch = {
  readonly feeds: Feeds
  readonly tokens: number
  readonly batch: number
  /** slots of an example */
  readonly sequence: number
  /** the blocks of its slots, and the slots of a block, if attention takes it block by block */
  readonly queryBlocks?: number
  readonly blockRows?: number
  /** the first token of each example, virtual tokens included */
  readonly firstTokens: readonly number[]
  /** the last token of each example: a sequence head reads the first or the last */
  readonly lastTokens: readonly number[]
}

/** exp(−1e9) is 0 in float32 and float64: padding gets no attention. */
const paddingBias = -1e9

/** Virtual tokens that a method puts before each example: as embeddings, or as keys and values that only shift the positions. */
export type VirtualTokens = { readonly count: number; readonly at: 'embeddings' | 'attention' }

export const noVirtualTokens: VirtualTokens = { count: 0, at: 'embeddings' }

/**
 * The feeds of BatchInputs. Positions count from `firstPosition` (RoBERTa: paddingIndex + 1, BERT: 0). RoBERTa does not count padding tokens: a
 * literal `<pad>` in a text has position paddingIndex, as in transformers, unless embeddings come before the text.
 * @param rowsOfBlock the most queries that attention takes at once; null: all
 * @throws Error if there is no example or one has no token: tokenizers add special tokens, so this is a programmer error
 */
export const packBatch = (
  examples: readonly TokenizedExample[],
  firstPosition: number,
  dtype: FloatType,
  { count, at }: VirtualTokens = noVirtualTokens,
  rowsOfBlock: number | null = null,
): PackedBatch => {
  const inside = at === 'embeddings' ? count : 0 // virtual tokens with a slot
  const lengths = examples.map(({ inputIds }) => inputIds.length + inside)
  const batch = lengths.length
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0)
  const blocks = rowsOfBlock === null ? null : planBlocks(longest, rowsOfBlock)
  const sequence = blocks?.sequence ?? longest
  const tokens = lengths.reduce((a, b) => a + b, 0)
  if (batch === 0 || lengths.some((length) => length === inside))
    throw new Error(`packBatch: expected examples of at least one token, got lengths [${lengths}]`)
  const perToken = (): Int32Array => new Int32Array(tokens)
  const [inputIds, positions, tokenTypes, slotOfToken] = [perToken(), perToken(), perToken(), perToken()]
  const virtualToken = perToken().fill(inside)
  const tokenOfSlot = new Int32Array(batch * sequence)
  const tokenOfSlotOrNone = new Int32Array(batch * sequence).fill(tokens)
  const attentionBias = new Float64Array(batch * sequence).fill(paddingBias)
  let token = 0
  examples.forEach(({ inputIds: ids, tokenTypeIds: types }, row) => {
    let counted = 0
    for (let column = 0; column < (lengths[row] ?? 0); column++, token++) {
      const [slot, index] = [row * sequence + column, column - inside]
      if (index < 0) virtualToken[token] = column
      inputIds[token] = ids[index] ?? 0 // a virtual token's row is not read
      tokenTypes[token] = types?.[index] ?? 0
      const isPadding = inside === 0 && firstPosition > 0 && inputIds[token] === firstPosition - 1
      positions[token] = isPadding ? firstPosition - 1 : firstPosition + counted + count - inside
      if (!isPadding) counted += 1
      slotOfToken[token] = slot
      tokenOfSlot[slot] = token
      tokenOfSlotOrNone[slot] = token
      attentionBias[slot] = 0
    }
  })
  const feeds: Feeds = {
    ...Object.fromEntries(
      Object.entries({ inputIds, positions, tokenTypes, slotOfToken, virtualToken }).map(([name, data]) => [name, int32Feed(data)]),
    ),
    tokenOfSlot: int32Feed(tokenOfSlot, blocks === null ? [batch, sequence] : [batch, blocks.queryBlocks, blocks.blockRows]),
    tokenOfSlotOrNone: int32Feed(tokenOfSlotOrNone),
    attentionBias: floatFeed(attentionBias, [batch, sequence], dtype),
  }
  const firstTokens = computeStarts(lengths)
  const lastTokens = firstTokens.map((first, i) => first + (lengths[i] ?? 1) - 1)
  return { feeds, tokens, batch, sequence, ...blocks, firstTokens, lastTokens }
}

/**
 * The feeds of rowSelection, from the selected tokens. If `rows` exceeds their number, token 0 fills the rest, which must not contribute to the
 * gradient.
 */
export const selectionFeeds = (tokenOfRow: ArrayLike<number>, tokens: number, of = '', rows = tokenOfRow.length): Feeds => {
  const rowOfToken = new Int32Array(tokens).fill(rows)
  Array.from(tokenOfRow).forEach((token, row) => {
    rowOfToken[token] = row
  })
  return {
    [`tokenOfRow${of}`]: int32Feed(Int32Array.from({ length: rows }, (_, row) => tokenOfRow[row] ?? 0)),
    [`rowOfToken${of}`]: int32Feed(rowOfToken),
  }
}

const computeStarts = (lengths: readonly number[]): readonly number[] => {
  let start = 0
  return lengths.map((length) => {
    start += length
    return start - length
  })
}
