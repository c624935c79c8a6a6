/** The tables of sweeps: Tables 1, 3 and 4 of the paper, and the runs behind its figures. */
import { sweepCsv, tableHeader, tableLine } from '../../../evaluation/glue/sweepTableText.js'
import { escapeText } from '../../charts/escapeText.js'
import type { Collected } from '../../discovery/collectRuns.js'
import type { ReportTable } from './reportTable.js'

/** `table1` → `Table 1`, `figure5` → `Runs of Figure 5` */
const titleOf = (sweep: string): string => {
  const [, kind, n] = /^(table|figure)(\d)$/.exec(sweep) ?? []
  return kind === undefined ? escapeText(sweep) : `${kind === 'table' ? 'Table' : 'Runs of Figure'} ${n}`
}

/** The paper has scores for its own models only. */
const hasPaperScores = ({ rows }: Collected['sweeps'][number]['table']): boolean =>
  rows.some(({ cells }) => cells.some(({ paper }) => paper !== null))

export const sweepTables = (sweeps: Collected['sweeps']): ReadonlyArray<ReportTable> =>
  sweeps.map(({ sweep, name, table }, i) => ({
    name: `sweep-${i + 1}`,
    title: titleOf(sweep),
    caption:
      `${escapeText(name)}: ${escapeText(table.title)}. Percent: mean ± largest deviation over seeds` +
      `${hasPaperScores(table) ? "; the paper's scores are in brackets" : ''}.`,
    table: { columns: ['row', ...tableHeader(table).slice(1)], rows: table.rows.map((row) => tableLine(row).map(escapeText)) },
    csv: sweepCsv(table),
  }))
