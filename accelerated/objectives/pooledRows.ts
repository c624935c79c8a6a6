/** The row of each example that a head reads: its first or last token, or the mean of its tokens. Virtual tokens are not part of a mean. */
import { floatFeed, type Feed, type Feeds } from '../engines/feeds.js'
import type { Expression, FloatType } from '../graph/expression.js'
import { input, matMul } from '../graph/operators.js'
import { selectedRows } from '../graph/selectedRows.js'
import type { Model } from '../models/architecture.js'
import { rowSelection } from '../models/batchInputs.js'
import { selectionFeeds, type PackedBatch, type TokenizedExample } from '../models/packing.js'
import type { ModelOutput } from './objective.js'

/** → [batch, hidden] */
export const pooledRows = ({ pooling }: Pick<Model, 'pooling'>, output: ModelOutput): Expression =>
  pooling === 'mean' ? meanRows(output, 'batch') : selectedRows(output.hidden, rowSelection('batch'))

/** The feeds of pooledRows. */
export const pooledFeeds = (
  { pooling }: Pick<Model, 'pooling'>,
  texts: readonly TokenizedExample[],
  packed: PackedBatch,
  dtype: FloatType,
): Feeds =>
  pooling === 'mean'
    ? { pooling: meanFeed(texts, packed, dtype) }
    : selectionFeeds(pooling === 'first' ? packed.firstTokens : packed.lastTokens, packed.tokens)

/** The mean of each text's tokens. → [texts, hidden] @param texts the name of their number */
export const meanRows = ({ hidden, dtype }: ModelOutput, texts: string): Expression =>
  matMul(input('pooling', [texts, 'tokens'], dtype), hidden)

/** 1 / n at the n tokens of each text: [texts, tokens] */
export const meanFeed = (texts: readonly TokenizedExample[], { lastTokens, tokens }: PackedBatch, dtype: FloatType): Feed => {
  const shares = new Float64Array(texts.length * tokens)
  texts.forEach(({ inputIds: { length } }, text) => {
    const last = lastTokens[text] ?? 0
    shares.fill(1 / length, text * tokens + last + 1 - length, text * tokens + last + 1)
  })
  return floatFeed(shares, [texts.length, tokens], dtype)
}
