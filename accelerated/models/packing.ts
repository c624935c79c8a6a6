/** Packing: examples of different lengths become the feeds of one step, their real tokens one after another. */
import type { Feed, Feeds } from '../runtime/feeds.js'
import { floatFeed, int32Feed } from '../runtime/feeds.js'
import type { Scalar } from '../training/trainingStep.js'

export type TokenisedExample = { readonly inputIds: ReadonlyArray<number>; readonly tokenTypeIds?: ReadonlyArray<number> | undefined }

export type PackedBatch = { readonly feeds: Feeds; readonly tokens: number; readonly batch: number; readonly sequence: number }

/** exp(−1e9) is 0 in float32 and float64: padding gets no attention at all. */
const paddingBias = -1e9

/**
 * The inputs of BatchInputs. Positions count from `firstPosition` (RoBERTa: paddingIndex + 1, BERT: 0).
 * @throws when there is no example or one has no token: programmer errors, since tokenisers add special tokens.
 */
export const packBatch = (examples: ReadonlyArray<TokenisedExample>, firstPosition: number, dtype: Scalar): PackedBatch => {
  const lengths = examples.map(({ inputIds }) => inputIds.length)
  const batch = lengths.length
  const sequence = Math.max(0, ...lengths)
  const tokens = lengths.reduce((a, b) => a + b, 0)
  if (batch === 0 || lengths.some((length) => length === 0))
    throw new Error(`packBatch: expected examples of at least one token, found lengths [${lengths}]`)
  const inputIds = new Int32Array(tokens)
  const positions = new Int32Array(tokens)
  const tokenTypes = new Int32Array(tokens)
  const slotOfToken = new Int32Array(tokens)
  const tokenOfSlot = new Int32Array(batch * sequence)
  const tokenOfSlotOrNone = new Int32Array(batch * sequence).fill(tokens)
  const attentionBias = new Float64Array(batch * sequence).fill(paddingBias)
  let token = 0
  examples.forEach((example, row) => {
    example.inputIds.forEach((id, column) => {
      const slot = row * sequence + column
      inputIds[token] = id
      positions[token] = firstPosition + column
      tokenTypes[token] = example.tokenTypeIds?.[column] ?? 0
      slotOfToken[token] = slot
      tokenOfSlot[slot] = token
      tokenOfSlotOrNone[slot] = token
      attentionBias[slot] = 0
      token += 1
    })
  })
  const feeds: Record<string, Feed> = {
    inputIds: int32Feed(inputIds),
    positions: int32Feed(positions),
    tokenTypes: int32Feed(tokenTypes),
    slotOfToken: int32Feed(slotOfToken),
    tokenOfSlot: int32Feed(tokenOfSlot, [batch, sequence]),
    tokenOfSlotOrNone: int32Feed(tokenOfSlotOrNone),
    attentionBias: floatFeed(attentionBias, [batch, sequence], dtype),
  }
  return { feeds, tokens, batch, sequence }
}

/** The inputs of RowSelection: rows of the packed tokens, by their place among all tokens. */
export const selectionFeeds = (tokenOfRow: ArrayLike<number>, tokens: number): Feeds => {
  const rowOfToken = new Int32Array(tokens).fill(tokenOfRow.length)
  Array.from(tokenOfRow).forEach((token, row) => {
    rowOfToken[token] = row
  })
  return { tokenOfRow: int32Feed(Int32Array.from(tokenOfRow)), rowOfToken: int32Feed(rowOfToken) }
}

/** Where each example starts: what a sequence head reads. */
export const firstTokens = (examples: ReadonlyArray<TokenisedExample>): ReadonlyArray<number> => {
  let start = 0
  return examples.map(({ inputIds }) => {
    const first = start
    start += inputIds.length
    return first
  })
}
