/** The table of a sweep as Markdown for readers, CSV for programs, and LaTeX for papers. */
import { oneLine } from '../../accelerated/errors/inputError.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'
import { csvLine, latexTable, latexText, markdownTable } from '../tables/tableText.js'
import type { PaperScore } from './paper.js'
import type { Interval, Summary } from './statistics.js'
import type { SweepTable, TableCell, TableRow } from './sweepTable.js'

/** One run has no deviation, and some published scores have none. */
const spread = ({ count, mean, maximumDeviation }: PaperScore & { readonly count?: number }): string =>
  maximumDeviation === null || count === 1 ? mean.toFixed(2) : `${mean.toFixed(2)} ± ${maximumDeviation.toFixed(2)}`

const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`

/** Mean ± maximum deviation, the retained share of a method with gates, the number of failed runs, and the paper's score in brackets. */
const cellText = ({ summary, second, paper, failures, retained }: TableCell): string => {
  const secondText = second === undefined ? '' : ` / ${spread(second.summary)}`
  const score = summary === null ? (failures.length > 0 ? 'failed' : '–') : `${spread(summary)}${secondText}`
  const failed = summary !== null && failures.length > 0 ? ` (${failures.length} failed)` : ''
  const kept = retained === null ? '' : `, kept ${retained.toFixed(2)}`
  return `${score}${kept}${failed}${paper === null ? '' : ` [${spread(paper)}]`}`
}

/** `accuracy`, or `accuracy / mismatched accuracy` for a task with two evaluation sets. */
const metricTitle = ({ rows }: SweepTable, task: GlueName, metric: string): string => {
  const second = rows.flatMap(({ cells }) => cells).find((cell) => cell.task === task && cell.second !== undefined)?.second
  return second === undefined ? metric : `${metric} / ${second.name} ${metric}`
}

export const tableHeader = (table: SweepTable): readonly string[] => [
  '',
  'parameters',
  'head',
  ...table.tasks.map(({ task, metric }) => `${task} (${metricTitle(table, task, metric)})`),
  'average',
  'seconds per run',
  'peak memory',
]

export const tableLine = ({ name, parameters, cells, average, seconds, peakMemoryBytes }: TableRow): readonly string[] => [
  name,
  parameters === null ? '–' : millions(parameters.method),
  parameters === null ? '–' : millions(parameters.head),
  ...cells.map(cellText),
  average?.toFixed(2) ?? '–',
  seconds?.toFixed(0) ?? '–',
  peakMemoryBytes === null ? '–' : `${(peakMemoryBytes / 1e9).toFixed(2)} GB`,
]

const intervalText = (interval: Interval | null): string =>
  interval === null ? '–' : `${interval[0].toFixed(2)} … ${interval[1].toFixed(2)}`

/** The title, the scores, and a second table of differences from the baseline. */
export const sweepMarkdown = (table: SweepTable): string => {
  const scores = `${oneLine(table.title)}\n\n${markdownTable(tableHeader(table), table.rows.map(tableLine))}`
  if (table.differences.length === 0) return scores
  const overall = table.overall.map(({ tasks, ...row }) => ({ ...row, task: `all ${tasks} tasks` }))
  const lines = [...table.differences.map((row) => ({ ...row, standardError: null })), ...overall].map(
    ({ row, task, mean, standardError: error, interval, pairs }) => [
      ...[row, task, `${mean.toFixed(2)}${error === null ? '' : ` ± ${error.toFixed(2)}`}`],
      ...[intervalText(interval), String(pairs)],
    ],
  )
  return (
    `${scores}\n${markdownTable(['', 'task', `minus ${table.baseline}`, '95 % t interval', 'pairs'], lines)}` +
    (overall.length === 0 ? '' : '\nOver all tasks: the mean of the tasks ± its standard error, clustered by task.\n')
  )
}

/** One line for each row and task. */
export const sweepCsv = ({ rows, tasks }: SweepTable): string => {
  const columns = ['row', 'task', 'metric', 'seeds', 'mean', 'maximum deviation', 'median', 'low', 'high']
  const rowColumns = ['parameters', 'head', 'seconds', 'peak memory', 'retained', 'failed', 'paper']
  const lines = rows.flatMap(({ name, cells, parameters, seconds, peakMemoryBytes }) =>
    cells.flatMap(({ task, summary, second, failures, retained, paper }, i) => {
      const line = (scoredTask: string, scores: Summary | null, published: PaperScore | null) => [
        ...[name, scoredTask, tasks[i]?.metric ?? '', scores?.count ?? 0],
        ...[scores?.mean, scores?.maximumDeviation, scores?.median, scores?.interval?.[0], scores?.interval?.[1]],
        ...[parameters?.method, parameters?.head, seconds, peakMemoryBytes, retained, failures.length, published?.mean],
      ]
      return [line(task, summary, paper), ...(second === undefined ? [] : [line(`${task} ${second.name}`, second.summary, null)])]
    }),
  )
  return [[...columns, ...rowColumns], ...lines].map(csvLine).join('')
}

const latexSpread = ({ count, mean, maximumDeviation }: Summary): string =>
  count === 1 ? mean.toFixed(2) : `${mean.toFixed(2)}$_{\\pm ${maximumDeviation.toFixed(2)}}$`

const latexCell = ({ summary, second }: TableCell): string =>
  summary === null ? '--' : [summary, ...(second === undefined ? [] : [second.summary])].map(latexSpread).join(' / ')

const latexRow = ({ name, parameters, cells, average }: TableRow): string => {
  const size = parameters === null ? '--' : millions(parameters.method).replace(' ', '\\,')
  return `${[latexText(name), size, ...cells.map(latexCell), average?.toFixed(2) ?? '--'].join(' & ')} \\\\`
}

/** In the form of Table 1; the title is a comment. */
export const sweepLatex = ({ title, tasks, rows }: SweepTable): string => {
  const head = `Method & \\# Parameters${tasks.map(({ task }) => ` & ${latexText(task)}`).join('')} & Avg \\\\`
  return `% ${oneLine(title)}\n${latexTable(`l r ${tasks.map(() => 'c').join(' ')} c`, [head], rows.map(latexRow))}`
}
