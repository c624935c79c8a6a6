/** The type of a table of the report. */
import type { Table } from '../../charts/table.js'

export type ReportTable = {
  /** id of the table in the page */
  readonly name: string
  readonly title: string
  readonly caption: string
  readonly table: Table
  /** absent: the cells as CSV */
  readonly csv?: string
  /** whether the page folds the table, because it is long */
  readonly folded?: boolean
}
