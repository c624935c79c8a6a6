/** Rows of a table of words by token, read from the checkpoint without the rest of the table. */
import type { ModelFolder } from './modelFolder.js'
import { readChunks } from './safetensors/safetensors.js'

/** Rows of a frozen table; for new tokens, the mean of all its rows (transformers draws theirs closely around it). → [ids, width] */
export const tableRows = async (
  { frozen, added }: Pick<ModelFolder, 'frozen' | 'added'>,
  table: string,
  ids: readonly number[],
): Promise<{ readonly shape: readonly [rows: number, width: number]; readonly rows: Float64Array }> => {
  const entry = frozen.get(table)
  const [count = 0, width = 0] = entry?.shape ?? []
  if (entry === undefined || width === 0) throw new Error(`tableRows: expected a table of the model, got ${table}`)
  const newFrom = added?.from ?? Infinity
  const rows = new Float64Array(ids.length * width)
  const sums = new Float64Array(width)
  const hasNew = ids.some((id) => id >= newFrom)
  for await (const { first, chunk } of readChunks(entry)) {
    const end = first + chunk.length
    ids.forEach((id, place) => {
      const [start, stop] = [Math.max(first, id * width), Math.min(end, (id + 1) * width)]
      if (start < stop) rows.set(chunk.subarray(start - first, stop - first), place * width + start - id * width)
    })
    if (hasNew)
      for (let i = 0, column = first % width; i < chunk.length; i++, column = column + 1 === width ? 0 : column + 1)
        sums[column] = (sums[column] ?? 0) + (chunk[i] ?? NaN)
  }
  const mean = sums.map((sum) => sum / count)
  ids.forEach((id, place) => {
    if (id >= newFrom) rows.set(mean, place * width)
  })
  return { shape: [count, width], rows }
}
