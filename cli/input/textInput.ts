/** The texts of `predict`: lines, JSON objects or CSV on standard input, or a file with named columns. */
import { createReadStream } from 'node:fs'
import { CsvError, parse } from 'csv-parse'
import { isAbsent, systemCode, systemInputError } from '../../accelerated/errors/systemError.js'
import { inputError, InputError } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { asFlag } from '../../finetuning/commandLine/optionNames.js'
import { parseEncoding, transcoder } from '../../finetuning/data/encoding.js'
import { parseDelimiter } from '../../finetuning/data/formats.js'
import { readTexts, type TextColumns } from '../../finetuning/data/index.js'
import { objectIn } from '../../finetuning/data/jsonRows.js'
import { toCells, longestRow, toWholeRow, type WholeRow } from '../../finetuning/data/rows.js'
import { placesIn } from '../../finetuning/data/separatedRows.js'
import type { RequestedColumn } from '../../finetuning/data/table.js'
import { localFile } from '../../finetuning/tasks/files/localFiles.js'
import { toTextLine, textLines, type ReadLine, type TextLine } from './textLines.js'

type Batches = AsyncGenerator<readonly TextLine[]>

/** Formats of standard input. */
export const inputFormats = ['lines', 'jsonl', 'csv', 'tsv'] as const
export type InputFormat = (typeof inputFormats)[number]

/** Texts of a file, which may be on the hub; `line` is the number of the row. */
export async function* fileTexts(file: string, columns: TextColumns, note?: (line: string) => void): Batches {
  const lines: TextLine[] = []
  let last: WholeRow = { names: [], values: [] }
  const whole = (row: WholeRow): void => {
    last = row
  }
  const observers = { whole, ...(note === undefined ? {} : { note }) }
  await readTexts(
    await localFile(file, option('input')),
    columns,
    (row, text, textPair) => lines.push({ ...toTextLine(row, text, textPair), row: last }),
    observers,
  )
  yield lines
}

/** Whether a file has a text on each line, and no header. */
export const isPlainText = (file: string): boolean => /\.txt$/i.test(file)

/** Lines of a file, which may be on the hub. @throws InputError if it cannot be read */
export async function* lineTexts(file: string, columns: TextColumns): Batches {
  const path = await localFile(file, option('input'))
  try {
    yield* streamTexts(createReadStream(path), 'lines', columns)
  } catch (thrown) {
    if (isAbsent(thrown)) throw systemInputError(file, 'a file', thrown, 'none there')
    throw systemCode(thrown) === null ? thrown : systemInputError(file, 'a readable file', thrown)
  }
}

export const streamTexts = (input: AsyncIterable<Uint8Array>, format: InputFormat, columns: TextColumns): Batches => {
  const stream = columns.encoding === undefined ? input : inUtf8(input, parseEncoding(columns.encoding))
  switch (format) {
    case 'lines':
      return textLines(stream)
    case 'jsonl':
      return textLines(stream, objectText(columns))
    case 'csv':
      return cellTexts(stream, { delimiter: ',', ...columns, quote: true })
    case 'tsv':
      return cellTexts(stream, { delimiter: '\t', ...columns })
  }
}

async function* inUtf8(stream: AsyncIterable<Uint8Array>, encoding: string): AsyncGenerator<Uint8Array> {
  const decode = transcoder(source, encoding)
  for await (const piece of stream) yield decode(piece, false)
  yield decode(new Uint8Array(0), true)
}

const requestColumns = ({ text = 'text', textPair }: TextColumns): readonly RequestedColumn[] => [
  { name: text, option: 'text' },
  ...(textPair === undefined ? [] : [{ name: textPair, option: 'textPair' }]),
]

const objectText =
  (columns: TextColumns): ReadLine =>
  (written, line) => {
    let row: { readonly row?: WholeRow } = {}
    try {
      const object = objectIn(written, '')
      row = { row: toWholeRow(object) }
      const [text, textPair] = toCells('', requestColumns(columns), object)
      return { ...toTextLine(line, text, textPair), ...row }
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown
      const { expected, got } = thrown.mistake
      return { line, problem: words`expected ${expected}, got ${got}`.in(asFlag), ...row }
    }
  }

const source = 'standard input'

/** An item of csv-parse with `info`, which its types omit. */
type CsvRecord = { readonly record: readonly string[]; readonly info: { readonly lines: number } }

const longestBatch = 1_000

/** Cells below a header. A stray quote ends the reading: the cells after it are ambiguous. */
async function* cellTexts(stream: AsyncIterable<Uint8Array>, columns: TextColumns): Batches {
  const delimiter = parseDelimiter(columns.delimiter ?? ',')
  const records = parse({
    delimiter,
    ...(columns.quote === true ? {} : { quote: null }),
    bom: true,
    info: true,
    relax_column_count: true,
    record_delimiter: ['\r\n', '\n'],
    max_record_size: longestRow,
  })
  void feed(stream, records)
  let places: readonly number[] | null = null
  let names: readonly string[] = []
  let batch: TextLine[] = []
  try {
    for await (const { record, info } of records as AsyncIterable<CsvRecord>) {
      if (places === null) {
        names = record.map((name) => name.trim())
        places = placesIn(source, names, requestColumns(columns), delimiter)
      } else if (record.length === names.length) {
        const [text, textPair] = [record[places[0] ?? 0], places[1] === undefined ? undefined : record[places[1]]]
        batch.push({ ...toTextLine(info.lines, text, textPair), row: { names, values: record, delimiter } })
      } else if (record.length > 1 || record[0] !== '')
        batch.push({ line: info.lines, problem: `expected ${names.length} columns, got ${record.length}`, row: { names, values: [] } })
      if (batch.length > 0 && (records.readableLength === 0 || batch.length === longestBatch)) {
        yield batch
        batch = []
      }
    }
  } catch (thrown) {
    if (!(thrown instanceof CsvError)) throw thrown
    throw inputError(`${source}, line ${thrown['lines']}`, 'cells quoted at both ends, with "" for a quote inside', thrown.code)
  }
  if (batch.length > 0) yield batch
}

/** As pipe, which does not forward an error of its source. */
const feed = async (stream: AsyncIterable<Uint8Array>, records: ReturnType<typeof parse>): Promise<void> => {
  try {
    for await (const chunk of stream) {
      if (records.destroyed) return
      if (!records.write(chunk)) await new Promise((resolve) => records.once('drain', resolve).once('close', resolve))
    }
    records.end()
  } catch (thrown) {
    records.destroy(thrown instanceof Error ? thrown : new Error(String(thrown)))
  }
}
