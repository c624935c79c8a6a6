/** Embeddings: one row of a table for each index, and tables some of whose rows are trained: in place of frozen ones, or of new tokens after the table's end. */
import { scatterRows, selectRows, type Tensor, generate, matrixShape } from '../tensor/tensor.js'
import { mismatch } from '../tensor/shape.js'

/** table: [entries, width], indices: n integers → [n, width] */
export const embedding = (table: Tensor, indices: readonly number[]): Tensor => selectRows(table, indices)

/** Rows that were looked up more than once add up. yBar: [n, width] → [entries, width] */
export const embeddingVjp = (entries: number, indices: readonly number[], yBar: Tensor): Tensor => scatterRows(yBar, indices, entries)

/** T′: row ids[i] is rows[i]; every other row is the table's. table: [entries, width], rows: [ids.length, width] → [vocabulary, width] */
export const withRows = (table: Tensor, ids: readonly number[], rows: Tensor): Tensor => {
  const [entries, width] = matrixShape('withRows', table)
  const vocabulary = Math.max(entries, ...ids.map((id) => id + 1))
  const placesById = new Map(ids.map((id, place) => [id, place]))
  const missing = Array.from({ length: vocabulary - entries }, (_, i) => entries + i).find((id) => !placesById.has(id))
  if (placesById.size !== ids.length || missing !== undefined)
    mismatch('withRows', 'each id once, and every id beyond the table', missing === undefined ? `[${ids}]` : `none for ${missing}`)
  return generate([vocabulary, width], (i) => {
    const [id, column] = [Math.floor(i / width), i % width]
    const place = placesById.get(id)
    return place === undefined ? table.data[i]! : rows.data[place * width + column]!
  })
}

/**
 * R̄ᵢ = T̄′_id(i), since a loss depends on a row through T′ alone. T̄′ adds up all uses of the table. A lookup of T′_id adds its ȳ to row id (scatter-add).
 * An output matrix z = x T′ᵀ adds z̄ᵀx: to row id, Σ z̄_id x over the positions. tableBar: [vocabulary, width] → [ids.length, width]
 */
export const withRowsVjp = (tableBar: Tensor, ids: readonly number[]): Tensor => selectRows(tableBar, ids)
