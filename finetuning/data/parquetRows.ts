/** Reads the rows of a Parquet file in portions, with hyparquet. */
import { inputError, reason, InputError } from '../../accelerated/errors/inputError.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { withFile } from '../../accelerated/storage/storage.js'
import { checkColumns, findColumn, renamedColumns } from './columns.js'
import { toCells, type ReadRows } from './rows.js'
import type { RequestedColumn } from './table.js'
import { atRow } from './dataset.js'
import { z } from 'zod'

/** Rows decoded at a time. A page that holds more is decompressed once for each portion. */
const portion = 100_000

/** A row's number is its place in the file, from 1. The libraries are imported for the first Parquet file. */
export const parquetRows: ReadRows = (file, requested, { note, whole, keys, storage = nodeFiles }, take) =>
  withFile(storage, file, async ({ size, read }) => {
    const { parquetMetadataAsync, parquetReadObjects, parquetSchema } = await import('hyparquet')
    const { compressors } = await import('hyparquet-compressors')
    const { checkParquetFooter, checkParquetPages } = await import('./parquetBounds.js')
    const bytes = {
      byteLength: size,
      slice: async (start: number, end = size) => (await read(start, end - start)).buffer,
    }
    const refusing = <T>(work: Promise<T>): Promise<T> =>
      work.catch((thrown: unknown) => {
        throw thrown instanceof InputError ? thrown : inputError(file, 'a Parquet file', `one that cannot be read (${reason(thrown)})`)
      })
    await refusing(checkParquetFooter(file, size, bytes.slice))
    const metadata = await refusing(parquetMetadataAsync(bytes))
    const names = await refusing((async () => parquetSchema(metadata).children.map(({ element }) => element.name))())
    checkColumns(file, names, requested)
    if (note !== undefined) for (const line of renamedColumns(file, names, requested)) note(line)
    const named = namedColumns(names, requested, classNamesIn(metadata.key_value_metadata))
    const rows = Number(metadata.num_rows)
    if (rows === 0) throw inputError(file, 'at least one row of data', 'none')
    const columns = whole === undefined ? requested.flatMap(({ name }) => findColumn(names, name) ?? []) : [...names]
    await refusing(checkParquetPages(file, metadata, { columns, size, read: bytes.slice }))
    for (let rowStart = 0; rowStart < rows; rowStart += portion) {
      const rowEnd = Math.min(rows, rowStart + portion)
      const objects = await refusing(parquetReadObjects({ file: bytes, metadata, compressors, columns, rowStart, rowEnd }))
      if (objects.length !== rowEnd - rowStart) throw inputError(file, `${rows} rows, as its footer says`, `${rowStart + objects.length}`)
      objects.forEach((object, i) => {
        const where = atRow(file, rowStart + i + 1)
        const read = named.map(([column, classes]) => [column, withNames(object[column], classes, () => where)])
        const cells = toCells(where, requested, read.length === 0 ? object : { ...object, ...Object.fromEntries(read) })
        keys?.(names)
        whole?.({ names, values: names.map((name) => object[name]) })
        take(rowStart + i + 1, cells)
      })
    }
  })

/** The columns whose numbers are read as names, with these names. */
const namedColumns = (
  names: readonly string[],
  requested: readonly RequestedColumn[],
  classes: ReadonlyMap<string, readonly string[]>,
): readonly (readonly [string, readonly string[]])[] =>
  requested.flatMap(({ name, named }) => {
    const column = named === true ? findColumn(names, name) : undefined
    const ofColumn = column === undefined ? undefined : classes.get(column)
    return column === undefined || ofColumn === undefined ? [] : [[column, ofColumn] as const]
  })

/** Names of classes in a Parquet file that the datasets library wrote: the numbers of a ClassLabel stand for them. */
const names = z
  .array(z.string().min(1).max(1_000))
  .min(1)
  .max(100_000)
  .refine((all) => new Set(all).size === all.length)
const classLabel = z.object({ _type: z.literal('ClassLabel'), names })
/** a number of each row, or a list of them; lists have had three forms */
const feature = z.union([
  classLabel,
  z.object({ _type: z.enum(['List', 'LargeList', 'Sequence']), feature: classLabel }).transform((list) => list.feature),
  z.tuple([classLabel]).transform(([one]) => one),
])
const written = z.object({ info: z.object({ features: z.record(z.string(), z.unknown()) }) })

/** By column; other columns, and what another program wrote under this key, have no names. @param metadata the file's own keys and values */
export const classNamesIn = (
  metadata: readonly { readonly key: string; readonly value?: string }[] = [],
): ReadonlyMap<string, readonly string[]> => {
  const text = metadata.find(({ key }) => key === 'huggingface')?.value
  const parsed = written.safeParse(text === undefined ? undefined : parsedOrNothing(text))
  const features = Object.entries(parsed.data?.info.features ?? {})
  return new Map(
    features.flatMap(([column, value]) => {
      const { data } = feature.safeParse(value)
      return data === undefined ? [] : [[column, data.names] as const]
    }),
  )
}

const parsedOrNothing = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** A number, or each number of a list, as its name; −1 is no label. @throws InputError for a number without a name */
const withNames = (value: unknown, classes: readonly string[], where: () => string): unknown => {
  if (Array.isArray(value)) return value.map((part) => withNames(part, classes, where))
  if (typeof value !== 'number' && typeof value !== 'bigint') return value
  if (Number(value) === -1) return null
  const name = classes[Number(value)]
  if (name === undefined) throw inputError(where(), `a class from 0 to ${classes.length - 1}, which the file names`, String(value))
  return name
}
