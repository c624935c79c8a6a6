/** Tables 1, 3 and 4, and those of the sweeps of figures: as the sweep made them. */
import { csvTable, tableHeader, tableLine } from '../../../evaluation/glue/sweepTable.js'
import type { Collected } from '../collectRuns.js'
import { escapeText } from '../../charts/escapeText.js'
import type { ReportTable } from './index.js'

/** `table1` → `Table 1` */
const titleOf = (sweep: string): string =>
  escapeText(sweep.replace(/^(table|figure)(\d)$/, (_, kind: string, n: string) => `${kind === 'table' ? 'Table' : 'Runs of Figure'} ${n}`))

/** Of the paper's models alone. */
const hasPaperScores = ({ rows }: Collected['sweeps'][number]['table']): boolean =>
  rows.some(({ cells }) => cells.some(({ paper }) => paper !== null))

export const sweepTables = (sweeps: Collected['sweeps']): ReadonlyArray<ReportTable> =>
  sweeps.map(({ sweep, name, table }, i) => ({
    name: `sweep-${i + 1}`,
    title: titleOf(sweep),
    caption: `${escapeText(name)}: ${escapeText(table.title)}. In percent: mean ± largest deviation over seeds${hasPaperScores(table) ? '; in brackets the paper’s' : ''}.`,
    table: { columns: ['row', ...tableHeader(table).slice(1)], rows: table.rows.map((row) => tableLine(row).map(escapeText)) },
    csv: csvTable(table),
  }))
