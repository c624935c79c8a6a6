/** A table as CSV, with all digits of its numbers. */
import { csvLine } from '../../evaluation/tables/tableText.js'
import type { Table } from './table.js'

export const csvOf = ({ columns, rows }: Table): string => [columns, ...rows].map(csvLine).join('')
