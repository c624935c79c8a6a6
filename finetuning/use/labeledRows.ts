/** The rows of a file that is being labeled, and the CSV file beside it that receives each label at once: row, text, label. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { fileExtension, unpackedName } from '../../accelerated/storage/paths.js'
import { findColumn } from '../data/columns.js'
import { readTexts, type TextColumns } from '../data/delimited.js'
import type { Placed, WholeRow } from '../data/rows.js'

/** row: its place in the file, as in messages · label: what the file says, or null */
export type RowToLabel = { readonly row: number; readonly text: string; readonly label: string | null }

/** Texts and embeddings are in memory. */
const mostRows = 100_000

/** The rows that have a text. @param label the column of labels, which a file need not have @throws InputError */
export const readRowsToLabel = async (file: string, columns: TextColumns & Placed, label = 'label'): Promise<readonly RowToLabel[]> => {
  const rows: RowToLabel[] = []
  let written = ''
  const whole = ({ names, values }: WholeRow): void => {
    const column = findColumn(names, label)
    written = column === undefined ? '' : String(values[names.indexOf(column)] ?? '').trim()
  }
  const take = (row: number, text: string | null): void => {
    if (text === null || text.trim() === '') return
    if (rows.length === mostRows) throw inputError(file, `at most ${mostRows} rows with a text`, 'more')
    rows.push({ row, text, label: written === '' ? null : written })
  }
  await readTexts(file, columns, take, { whole })
  if (rows.length === 0) throw inputError(file, 'at least one row with a text', 'none')
  return rows
}

/** `reviews.csv` → `reviews.labels.csv`, beside it */
export const nameLabelsFile = (file: string): string => {
  const name = unpackedName(file)
  return `${name.slice(0, name.length - fileExtension(name).length)}.labels.csv`
}

/** A label of a row, by the row's place in the list. */
export type WrittenLabel = { readonly at: number; readonly label: string }

export type LabelsFile = {
  /** what an earlier session wrote */
  readonly labels: readonly WrittenLabel[]
  /** Replaces the file by one with these labels, which is on the disk afterwards; without labels there is no file. @throws InputError */
  readonly write: (labels: readonly WrittenLabel[]) => Promise<void>
}

/** A cell of a CSV file. */
export const quote = (cell: string): string => `"${cell.replaceAll('"', '""')}"`

export const formatLabels = (rows: readonly RowToLabel[], labels: readonly WrittenLabel[]): string =>
  `row,text,label\n${labels.map(({ at, label }) => `${rows[at]?.row},${quote(rows[at]?.text ?? '')},${quote(label)}\n`).join('')}`

/** @throws InputError if the file holds labels of other rows */
export const openLabelsFile = async (path: string, rows: readonly RowToLabel[], storage: Storage = nodeFiles): Promise<LabelsFile> => {
  const version = async (): Promise<string | null> => (await storage.stat(path))?.version ?? null
  let seen = await version()
  const labels = seen === null ? [] : await readLabels(path, rows, storage)
  return {
    labels,
    write: async (next) => {
      if ((await version()) !== seen) throw inputError(path, 'the labels of this session alone', 'a file that another program has changed')
      if (next.length === 0) await storage.remove(path)
      else await storage.write(path, formatLabels(rows, next))
      seen = await version()
    },
  }
}

const readLabels = async (path: string, rows: readonly RowToLabel[], storage: Storage): Promise<readonly WrittenLabel[]> => {
  const places = new Map(rows.map(({ row }, at) => [String(row), at]))
  const labels = new Map<number, string>()
  for (const { text, label, number } of await readLabelRows(path, storage)) {
    const at = places.get(number)
    if (at === undefined || rows[at]?.text !== text)
      throw inputError(path, 'the labels that an earlier session gave to these rows', `another text in row ${quoted(number)}`)
    labels.set(at, label)
  }
  return Array.from(labels, ([at, label]) => ({ at, label }))
}

type LabelRow = { readonly number: string; readonly text: string; readonly label: string }

const readLabelRows = async (path: string, storage: Storage): Promise<readonly LabelRow[]> => {
  const all: LabelRow[] = []
  const whole = ({ names, values }: WholeRow): void => {
    const [number = '', text = '', label = ''] = ['row', 'text', 'label'].map((name) => String(values[names.indexOf(name)] ?? ''))
    all.push({ number, text, label })
  }
  await readTexts(path, { storage }, () => undefined, { whole })
  return all
}
