/** Table 2 of the paper with our rows, as Markdown, CSV and LaTeX. */
import { csvLine, latexText, markdownTable as markdown } from '../tables/tableText.js'
import type { Published } from './paperResults.js'
import type { DirectionScores } from './scores.js'

export type TableRow = {
  readonly method: string
  /** from style 0, from style 1 */
  readonly scores: readonly [RowScores, RowScores]
  readonly published: boolean
}
export type RowScores = Pick<DirectionScores, 'accuracy' | 'bleu' | 'perplexity'>

export type TransferTable = {
  readonly title: string
  readonly directions: readonly [string, string]
  readonly rows: ReadonlyArray<TableRow>
}

export const publishedRow = ({ method, scores }: Published, dataset: string): TableRow | null => {
  const scored = scores[dataset]
  if (scored === undefined) return null
  const [from0, from1] = scored.map(([accuracy, bleu, perplexity]): RowScores => ({ accuracy, bleu, perplexity }))
  return from0 === undefined || from1 === undefined ? null : { method, scores: [from0, from1], published: true }
}

const metrics = ['ACC', 'BLEU', 'PPL'] as const

const cells = ({ scores }: TableRow, none: string): ReadonlyArray<string> =>
  scores.flatMap(({ accuracy, bleu, perplexity }) => [accuracy, bleu, perplexity].map((value) => value?.toFixed(2) ?? none))

const sourceOf = ({ published }: TableRow): string => (published ? 'paper' : 'here')

export const tableHeader = ({ directions }: Pick<TransferTable, 'directions'>): ReadonlyArray<string> => [
  '',
  '',
  ...directions.flatMap((direction) => metrics.map((metric) => `${direction}: ${metric}`)),
]

export const tableLine = (row: TableRow): ReadonlyArray<string> => [row.method, sourceOf(row), ...cells(row, '–')]

export const markdownTable = (table: TransferTable): string => {
  const align = tableHeader(table).map((_, i) => (i < 2 ? 'left' : 'right'))
  return `${table.title}\n\n${markdown(tableHeader(table), table.rows.map(tableLine), align)}`
}

export const csvTable = ({ directions, rows }: TransferTable): string =>
  [
    ['method', 'numbers', ...directions.flatMap((direction) => metrics.map((metric) => `${direction} ${metric}`))],
    ...rows.map((row) => [row.method, sourceOf(row), ...cells(row, '')]),
  ]
    .map(csvLine)
    .join('')

/** For booktabs. */
export const latexTable = ({ title, directions, rows }: TransferTable): string => {
  const groups = directions.map((direction) => ` & \\multicolumn{3}{c}{${latexText(direction)}}`).join('')
  const isFirstOfOurs = (i: number): boolean => rows[i]?.published === false && rows[i - 1]?.published === true
  return [
    '\\begin{tabular}{l rrr rrr}',
    '\\toprule',
    `${latexText(title)}${groups} \\\\`,
    '\\cmidrule(lr){2-4} \\cmidrule(lr){5-7}',
    `Method${directions.map(() => ' & ACC $\\uparrow$ & BLEU $\\uparrow$ & PPL $\\downarrow$').join('')} \\\\`,
    '\\midrule',
    ...rows.map((row, i) => `${isFirstOfOurs(i) ? '\\midrule\n' : ''}${latexText(row.method)} & ${cells(row, '--').join(' & ')} \\\\`),
    '\\bottomrule',
    '\\end{tabular}',
    '',
  ].join('\n')
}
