/** How report and board write a table: the text of a cell, and which columns are numbers. Page scripts import this file too. */
import { formatNumber } from './formatNumber.js'
import type { Cell, Table } from './table.js'

export const cellText = (cell: Cell): string => {
  if (cell === null) return '–'
  return typeof cell === 'string' ? cell : formatNumber(cell)
}

/** Numbers are on the right, and so are texts that begin with one. */
const isNumeric = (cell: Cell): boolean => typeof cell !== 'string' || /^[-−+±]?\s?\d|^–$|^$/.test(cell)

/** Whether each column is on the right. */
export const numericColumns = ({ columns, rows }: Table): ReadonlyArray<boolean> =>
  columns.map((_, i) => i > 0 && rows.some((row) => row[i] !== null) && rows.every((row) => isNumeric(row[i] ?? null)))
