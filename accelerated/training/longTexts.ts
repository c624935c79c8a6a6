/** Long texts: a run or an evaluation with one takes attention block by block, in every batch. One graph for all holds the least memory. */
import type { Engine } from '../engines/engine.js'
import type { Examples, TokenizedExample } from '../models/packing.js'
import { blocksOf, longText } from '../models/queryBlocks.js'
import type { Assembly } from './assembly.js'
import { largestBatch } from './batchFeeds.js'
import type { Dimensions } from './dropoutFeeds.js'

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
  inBlocks ? { ...largest, ...blocksOf(largest['sequence'] ?? 1) } : largest
