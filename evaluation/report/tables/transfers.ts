/** Table 2: style transfer, each table as its command made it. */
import { csvTable, tableHeader, tableLine } from '../../styleTransfer/transferTable.js'
import type { Collected } from '../collectRuns.js'
import { shownText } from '../shownText.js'
import type { ReportTable } from './index.js'

export const transferTables = (transfers: Collected['transfers']): ReadonlyArray<ReportTable> =>
  transfers.map(({ name, table }, i) => ({
    name: `transfer-${i + 1}`,
    title: 'Table 2',
    caption: `${shownText(name)}: ${shownText(table.title)}.`,
    table: {
      columns: ['method', 'numbers', ...tableHeader(table).slice(2).map(shownText)],
      rows: table.rows.map((row) => tableLine(row).map(shownText)),
    },
    csv: csvTable(table),
  }))
