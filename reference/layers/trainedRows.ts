/** Trained rows of a table of embeddings: rows that take the place of frozen ones, and rows of new tokens after the table's end. */
import { mismatch } from '../tensor/shape.js'
import { generate, matrixShape, selectRows, type Tensor } from '../tensor/tensor.js'

/** T′: row ids[i] is rows[i]; every other row is the table's. table: [entries, width], rows: [ids.length, width] → [vocabulary, width] */
export const withRows = (table: Tensor, ids: readonly number[], rows: Tensor): Tensor => {
  const [entries, width] = matrixShape('withRows', table)
  const vocabulary = Math.max(entries, ...ids.map((id) => id + 1))
  const placeOf = new Map(ids.map((id, place) => [id, place]))
  const missing = Array.from({ length: vocabulary - entries }, (_, i) => entries + i).find((id) => !placeOf.has(id))
  if (placeOf.size !== ids.length || missing !== undefined)
    mismatch('withRows', 'each id once, and every id beyond the table', missing === undefined ? `[${ids}]` : `none for ${missing}`)
  return generate([vocabulary, width], (i) => {
    const [id, column] = [Math.floor(i / width), i % width]
    const place = placeOf.get(id)
    return place === undefined ? table.data[i]! : rows.data[place * width + column]!
  })
}

/**
 * R̄ᵢ = T̄′_id(i), since a loss depends on a row through T′ alone. T̄′ adds up all uses of the table. A lookup of T′_id adds its ȳ to row id (scatter-add).
 * An output matrix z = x T′ᵀ adds z̄ᵀx: to row id, Σ z̄_id x over the positions. tableBar: [vocabulary, width] → [ids.length, width]
 */
export const withRowsVjp = (tableBar: Tensor, ids: readonly number[]): Tensor => selectRows(tableBar, ids)
