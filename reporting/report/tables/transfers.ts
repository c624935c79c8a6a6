/** Table 2 of the paper: style transfer. */
import { csvTable, tableHeader, tableLine } from '../../../evaluation/styleTransfer/transferTable.js'
import { escapeText } from '../../charts/escapeText.js'
import type { Collected } from '../../discovery/collectRuns.js'
import type { ReportTable } from './reportTable.js'

export const transferTables = (transfers: Collected['transfers']): ReadonlyArray<ReportTable> =>
  transfers.map(({ name, table }, i) => ({
    name: `transfer-${i + 1}`,
    title: 'Table 2',
    caption: `${escapeText(name)}: ${escapeText(table.title)}.`,
    table: {
      columns: ['method', 'source', ...tableHeader(table).slice(2).map(escapeText)],
      rows: table.rows.map((row) => tableLine(row).map(escapeText)),
    },
    csv: csvTable(table),
  }))
