/** Batches as feeds of a graph, and the bounds of their dimensions. */
import { scalarFeed, type Feeds } from '../engines/feeds.js'
import { noVirtualTokens, packBatch, type Examples, type PackedBatch, type TokenizedExample } from '../models/packing.js'
import { largestBlock, planBlocks, longText } from '../models/batchInputs.js'
import type { Prepared } from '../objectives/objective.js'
import type { Assembly } from './assembly.js'
import type { Dimensions } from './dropoutFeeds.js'
import type { Engine } from '../engines/engine.js'

/** A batch, packed, with its feeds. @param whole the weight of all parts of the step together */
export const batchFeeds = (
  { method, settings, model, precision, inBlocks }: Pick<Assembly, 'method' | 'settings' | 'model' | 'precision' | 'inBlocks'>,
  { texts, weight, feeds }: Prepared<unknown>,
  whole: number,
): { readonly packed: PackedBatch; readonly feeds: Feeds } => {
  const virtual = method.train.virtualTokens?.(settings) ?? noVirtualTokens
  const packed = packBatch(texts, model.firstPosition, precision.dtype, virtual, inBlocks === true ? largestBlock : null)
  const batchShare = scalarFeed(weight / whole, precision.dtype)
  return { packed, feeds: { ...packed.feeds, ...feeds(packed, whole, precision.dtype), batchShare } }
}

export const pickDimensions = ({ tokens, batch, sequence, queryBlocks = 1, blockRows = sequence }: PackedBatch): Dimensions => ({
  tokens,
  batch,
  sequence,
  queryBlocks,
  blockRows,
})

/**
 * Upper bounds of any batch's dimensions: a batch of the longest examples, and one of the examples with the most texts.
 * @param virtual virtual tokens before each text
 */
export const largestBatch = (
  examples: Examples<TokenizedExample>,
  batchSize: number,
  virtual: number,
): Readonly<Record<'batch' | 'sequence' | 'tokens', number>> => {
  const sumOfLargest = (numbers: Int32Array): number =>
    numbers
      .sort()
      .reverse()
      .subarray(0, batchSize)
      .reduce((a, b) => a + b, 0)
  const each = (number: (example: TokenizedExample) => number): Int32Array =>
    Int32Array.from({ length: examples.length }, (_, i) => number(examples.at(i) as TokenizedExample))
  const texts = ({ ends }: TokenizedExample): number => ends?.length ?? 1
  const longestText = ({ inputIds, ends = [inputIds.length] }: TokenizedExample): number =>
    ends.reduce((longest, end, i) => Math.max(longest, end - (ends[i - 1] ?? 0)), 0)
  return {
    batch: sumOfLargest(each(texts)),
    sequence: each(longestText).reduce((a, b) => Math.max(a, b), 0) + virtual,
    tokens: sumOfLargest(each((example) => example.inputIds.length + virtual * texts(example))),
  }
}

type Blocks = Pick<Assembly, 'method' | 'settings' | 'inBlocks'>

/** The assembly of graphs for these texts. */
export const forLengths = <A extends Blocks>(assembly: A, texts: Examples<TokenizedExample>, engine: Pick<Engine, 'scan'>): A => {
  if (assembly.inBlocks === true) return assembly
  const virtual = assembly.method.train.virtualTokens?.(assembly.settings)
  const { sequence } = largestBatch(texts, 1, virtual?.at === 'embeddings' ? virtual.count : 0)
  return forSequence(assembly, sequence, engine)
}

/** The assembly of graphs for texts of at most this many tokens, virtual ones included. */
export const forSequence = <A extends Blocks>(assembly: A, sequence: number, { scan = false }: Pick<Engine, 'scan'>): A =>
  scan && assembly.inBlocks !== true && sequence >= longText ? { ...assembly, inBlocks: true } : assembly

/** Upper bounds of a batch's dimensions with those of its blocks. */
export const dimensionsInBlocks = ({ inBlocks = false }: Pick<Assembly, 'inBlocks'>, largest: Dimensions): Dimensions =>
  inBlocks ? { ...largest, ...planBlocks(largest['sequence'] ?? 1) } : largest
