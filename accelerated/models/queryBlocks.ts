/** Blocks of queries: whether a batch's longest text is worth them, and how they cut it. */
import { product } from '../graph/dimension.js'

/** Names of sizes: the blocks of a text's queries, and the queries of a block. */
export const queryBlocks = 'queryBlocks'
export const blockRows = 'blockRows'
/** The size of a padded text. */
export const blockedSequence = product([queryBlocks, blockRows])

/** The most queries of a block. */
export const largestBlock = 128

/** Tokens of a text from which on attention takes its queries block by block. */
export const longText = 1024

/** The fewest blocks, and the fewest rows that then hold all queries: less than one slot of each block is padding. */
export const blocksOf = (
  sequence: number,
  largest = largestBlock,
): Readonly<Record<typeof queryBlocks | typeof blockRows | 'sequence', number>> => {
  const blocks = Math.ceil(sequence / largest)
  const rows = Math.ceil(sequence / blocks)
  return { queryBlocks: blocks, blockRows: rows, sequence: blocks * rows }
}
