/** The tables of a report, in the order of the page: those of sweeps (Tables 1, 3 and 4 of the paper), of style transfers (Table 2), and of runs. */
import { sweepCsv, tableHeader, tableLine } from '../../evaluation/glue/sweepTableText.js'
import {
  csvTable as transferCsv,
  tableHeader as transferHeader,
  tableLine as transferLine,
} from '../../evaluation/styleTransfer/transferTable.js'
import type { EvaluatedRun } from '../figures/heatMaps.js'
import type { Collected } from '../runs/collectRuns.js'
import type { Series } from '../runs/series.js'
import { escapeText, html, type Html } from '../text/html.js'
import { evaluationTables, samplesTables, type SampledRun } from './evaluationTables.js'
import { runsTable, seriesTable, type CurvesByRun } from './runTables.js'
import { type ReportTable, tableRegion } from './sections.js'
import type { ExampleGroup, TransferExamples } from '../../evaluation/styleTransfer/transfers.js'

export type ReportTables = {
  /** above the figures: what compares */
  readonly comparisons: readonly ReportTable[]
  /** below the figures */
  readonly details: readonly ReportTable[]
}

/** The table of a single series repeats the first screen, so it is below the figures. */
export const buildTables = (
  collected: Collected,
  series: readonly Series[],
  evaluated: readonly EvaluatedRun[],
  sampled: readonly SampledRun[],
  curves: CurvesByRun,
): ReportTables => {
  const scores = series.length === 0 ? [] : [seriesTable(series, curves)]
  const isComparison = series.length > 1
  return {
    comparisons: [...sweepTables(collected.sweeps), ...transferTables(collected.transfers), ...(isComparison ? scores : [])],
    details: [
      ...samplesTables(sampled),
      ...evaluationTables(evaluated),
      ...(isComparison ? [] : scores),
      ...(series.length === 0 ? [] : [runsTable(series, curves)]),
    ],
  }
}

/** `table1` → `Table 1`, `figure5` → `Runs of Figure 5` */
const sweepTitle = (sweep: string): string => {
  const [, kind, n] = /^(table|figure)(\d)$/.exec(sweep) ?? []
  return kind === undefined ? escapeText(sweep) : `${kind === 'table' ? 'Table' : 'Runs of Figure'} ${n}`
}

/** The paper has scores for its own models only. */
const hasPaperScores = ({ rows }: Collected['sweeps'][number]['table']): boolean =>
  rows.some(({ cells }) => cells.some(({ paper }) => paper !== null))

export const sweepTables = (sweeps: Collected['sweeps']): readonly ReportTable[] =>
  sweeps.map(({ sweep, name, table }, i) => ({
    name: `sweep-${i + 1}`,
    title: sweepTitle(sweep),
    caption:
      `${escapeText(name)}: ${escapeText(table.title)}. Percent: mean ± largest deviation over seeds` +
      `${hasPaperScores(table) ? "; the paper's scores are in brackets" : ''}.`,
    table: { columns: ['row', ...tableHeader(table).slice(1)], rows: table.rows.map((row) => tableLine(row).map(escapeText)) },
    csv: sweepCsv(table),
  }))

/** Table 2 of the paper: style transfer. */
export const transferTables = (transfers: Collected['transfers']): readonly ReportTable[] =>
  transfers.map(({ name, table }, i) => ({
    name: `transfer-${i + 1}`,
    title: 'Table 2',
    caption: `${escapeText(name)}: ${escapeText(table.title)}.`,
    table: {
      columns: ['method', 'source', ...transferHeader(table).slice(2).map(escapeText)],
      rows: table.rows.map((row) => transferLine(row).map(escapeText)),
    },
    csv: transferCsv(table),
  }))

const style = `
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #8886; padding: .4rem .6rem; text-align: left; vertical-align: top }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
`

const section = ({ direction, examples }: ExampleGroup): Html => {
  const rows = examples.map(({ source, output, reference, scores: { probability, bleu, perplexity } }) => [
    ...[source, output || '(nothing)', reference],
    ...[probability?.toFixed(2) ?? null, bleu?.toFixed(1) ?? null, perplexity?.toFixed(0) ?? null],
  ])
  const columns = ['source', 'output', 'reference', 'p(target)', 'BLEU', 'PPL']
  return html`<h2>${direction}</h2>
${tableRegion({ columns, rows }, direction)}`
}

/** The page as HTML. Its first paragraph explains the three score columns. */
export const transferExamplesPage = ({ title, groups }: TransferExamples): string =>
  html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title><style>${{ html: style }}</style></head>
<body>
<h1>${title}</h1>
<p>p(target): probability of the target style, by the classifier. BLEU: of the sentence alone, smoothed. PPL: perplexity under the language model of the target style.</p>
${groups.map(section)}</body></html>
`.html
