/** Bounds on what a Parquet file may expand to. Its pages say how many values and bytes they hold; a page of a few bytes can say a billion. */
import type { FileMetaData } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { inputError, reason } from '../../accelerated/errors/inputError.js'

/** Bytes of one page, once decompressed. Writers aim at 1 MB. */
const largestPage = 256 * 2 ** 20

/** Bytes that a file may always decompress to, and how many more for each of its bytes: DEFLATE reaches 1,032. */
const [alwaysBytes, bytesPerByte] = [64 * 2 ** 20, 1_100]

/** Values of a column that a file may always have, and how many more for each of its bytes. A run of equal values takes a few bytes. */
const [alwaysValues, valuesPerByte] = [1_000_000, 64]

/** Bytes of the footer, whose objects take sixty times as many. A thousand row groups of ten columns need 2 MB. */
const footerLimit = 16_000_000

/** The footer's length in four bytes, and the mark at the end. */
const tail = 8

/** A part of the file. */
export type ReadPart = (start: number, end: number) => Promise<ArrayBufferLike>

/** Checks the footer before a reader believes the lengths in it. @throws InputError if it is too long, or claims more than it holds */
export const checkParquetFooter = async (file: string, size: number, read: ReadPart): Promise<void> => {
  if (size < tail) throw inputError(file, 'a Parquet file', `one that cannot be read (${size} bytes)`)
  const length = new DataView(await read(size - tail, size)).getUint32(0, true)
  if (length > size - tail) throw inputError(file, 'a Parquet file', `one that cannot be read (a footer of ${length} bytes in ${size})`)
  if (length > footerLimit) throw inputError(file, `a footer of at most ${footerLimit} bytes`, `${length}`)
  checkStruct(new DataView(await read(size - tail - length, size - tail)), 0, file)
}

/** @throws InputError */
const checkStruct = (bytes: DataView, at: number, file: string): void => {
  try {
    structEnd(bytes, at)
  } catch (thrown) {
    throw inputError(file, 'a Parquet file', `one that cannot be read (${reason(thrown)})`)
  }
}

/**
 * Reads the header of each page of `columns`, and none of its data. All other readers believe these headers.
 * @param columns names of top-level columns @throws InputError if a page or the file claims too much
 */
export const checkParquetPages = async (
  file: string,
  { row_groups: groups }: FileMetaData,
  { columns, size, read }: { readonly columns: readonly string[]; readonly size: number; readonly read: ReadPart },
): Promise<void> => {
  const [mostBytes, mostValues] = [alwaysBytes + bytesPerByte * size, alwaysValues + valuesPerByte * size]
  const total = new Map<string, number>()
  let bytes = 0
  for (const { meta_data: chunk } of groups.flatMap((group) => group.columns)) {
    const [name] = chunk?.path_in_schema ?? []
    if (chunk === undefined || name === undefined || !columns.includes(name)) continue
    const column = chunk.path_in_schema.join('.')
    const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset)
    const end = start + Number(chunk.total_compressed_size)
    if (!(start >= 0 && start <= end && end <= size))
      throw inputError(file, `pages of ${column} within ${size} bytes`, `bytes ${start} to ${end}`)
    for (const page of readPages(await read(start, end), file)) {
      if (!(page.bytes >= 0 && page.bytes <= largestPage))
        throw inputError(file, `pages of at most ${largestPage} bytes in ${column}`, `${page.bytes}`)
      bytes += page.bytes
      const values = (total.get(column) ?? 0) + page.values
      total.set(column, values)
      if (!(page.values >= 0 && values <= mostValues))
        throw inputError(file, `at most ${mostValues} values of ${column} in ${size} bytes`, `${values} or more`)
      if (bytes > mostBytes) throw inputError(file, `at most ${mostBytes} bytes when decompressed, of ${size}`, `${bytes} or more`)
    }
  }
}

type Page = { readonly bytes: number; readonly values: number }

/** @throws InputError if a header cannot be read */
function* readPages(chunk: ArrayBufferLike, file: string): Iterable<Page> {
  const reader = { view: new DataView(chunk), offset: 0 }
  // as the reader's own loop ends
  while (reader.offset < reader.view.byteLength - 1) {
    checkStruct(reader.view, reader.offset, file)
    const header = readHeader(reader, file)
    const { data_page_header: data, data_page_header_v2: second, dictionary_page_header: dictionary } = header
    if (!(header.compressed_page_size >= 0)) throw inputError(file, 'a page of some size', `${header.compressed_page_size} bytes`)
    reader.offset += header.compressed_page_size
    yield { bytes: Number(header.uncompressed_page_size), values: Number((data ?? second ?? dictionary)?.num_values ?? 0) }
  }
}

const readHeader = (reader: Parameters<typeof parquetHeader>[0], file: string): ReturnType<typeof parquetHeader> => {
  try {
    return parquetHeader(reader)
  } catch (thrown) {
    throw inputError(file, 'a Parquet file', `one that cannot be read (${reason(thrown)})`)
  }
}

/**
 * Bounds on Parquet's headers, which are in Thrift's compact protocol: a list of a few bytes can say that it has a billion elements.
 * Nested structs and lists. Parquet's own headers have eight levels.
 */
const deepest = 64

const [stop, yes, no, byte, int16, int32, int64, double, binary, list, struct] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12]

/**
 * Walks a struct without building it. A reader allocates a list before it reads the elements, so no list may have more than there are bytes.
 * @param at the struct's first byte → the byte after it @throws Error if it is cut short, is nested too deep or has a list that is too long
 */
export const structEnd = (bytes: DataView, at: number, levels = deepest): number => {
  if (levels === 0) throw new Error(`expected at most ${deepest} levels of Thrift, got more`)
  let next = at
  for (;;) {
    const head = bytes.getUint8(next++)
    if ((head & 15) === stop) return next
    if (head >> 4 === 0) next = readVarint(bytes, next).end
    next = elementEnd(bytes, next, head & 15, levels)
  }
}

const elementEnd = (bytes: DataView, at: number, type: number, levels: number): number => {
  if (type === yes || type === no) return at // a field of this type has no bytes besides
  if (type === byte) return at + 1
  if (type === int16 || type === int32 || type === int64) return readVarint(bytes, at).end
  if (type === double) return at + 8
  if (type === struct) return structEnd(bytes, at, levels - 1)
  if (type === list) return listEnd(bytes, at, levels - 1)
  if (type !== binary) throw new Error(`expected a type of Thrift that Parquet has, got ${type}`)
  const { value: length, end } = readVarint(bytes, at)
  return within(bytes, end, length, 'bytes')
}

const listEnd = (bytes: DataView, at: number, levels: number): number => {
  if (levels === 0) throw new Error(`expected at most ${deepest} levels of Thrift, got more`)
  const head = bytes.getUint8(at)
  const long = head >> 4 === 15
  const { value: count, end } = long ? readVarint(bytes, at + 1) : { value: head >> 4, end: at + 1 }
  within(bytes, end, count, 'elements')
  const type = (head & 15) === yes || (head & 15) === no ? byte : head & 15
  let next = end
  for (let i = 0; i < count; i++) next = elementEnd(bytes, next, type, levels)
  return next
}

/** Each element has a byte at least. */
const within = (bytes: DataView, at: number, count: number, what: string): number => {
  if (count > bytes.byteLength - at) throw new Error(`expected at most ${bytes.byteLength - at} ${what}, got ${count}`)
  return at + count
}

const readVarint = (bytes: DataView, at: number): { readonly value: number; readonly end: number } => {
  let value = 0
  for (let [end, scale] = [at, 1]; ; scale *= 128) {
    const part = bytes.getUint8(end++)
    value += (part & 127) * scale
    if (part < 128) return { value, end }
  }
}
