/** Embeddings: one row of a table for each index. */
import { scatterRows, selectRows, type Tensor } from '../tensor/tensor.js'

/** table: [entries, width], indices: n integers → [n, width] */
export const embedding = (table: Tensor, indices: readonly number[]): Tensor => selectRows(table, indices)

/** Rows that were looked up more than once add up. yBar: [n, width] → [entries, width] */
export const embeddingVjp = (entries: number, indices: readonly number[], yBar: Tensor): Tensor => scatterRows(yBar, indices, entries)
