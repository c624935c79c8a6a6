/** Table 2: style transfer, each table as its command made it. */
import { csvTable, tableHeader, tableLine } from '../../../evaluation/styleTransfer/transferTable.js'
import type { Collected } from '../collectRuns.js'
import { escapeText } from '../../charts/escapeText.js'
import type { ReportTable } from './index.js'

export const transferTables = (transfers: Collected['transfers']): ReadonlyArray<ReportTable> =>
  transfers.map(({ name, table }, i) => ({
    name: `transfer-${i + 1}`,
    title: 'Table 2',
    caption: `${escapeText(name)}: ${escapeText(table.title)}.`,
    table: {
      columns: ['method', 'numbers', ...tableHeader(table).slice(2).map(escapeText)],
      rows: table.rows.map((row) => tableLine(row).map(escapeText)),
    },
    csv: csvTable(table),
  }))
