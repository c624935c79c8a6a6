/** Table 2 of the paper with our rows, as Markdown, CSV and LaTeX. */
import { csvLine, latexTable, latexText, markdownTable as markdown } from '../tables/tableText.js'
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
  readonly rows: readonly TableRow[]
}

export const publishedRow = ({ method, scores }: Published, dataset: string): TableRow | null => {
  const scored = scores[dataset]
  if (scored === undefined) return null
  const [from0, from1] = scored.map(([accuracy, bleu, perplexity]): RowScores => ({ accuracy, bleu, perplexity }))
  return from0 === undefined || from1 === undefined ? null : { method, scores: [from0, from1], published: true }
}

const metrics = ['ACC', 'BLEU', 'PPL'] as const

const cells = ({ scores }: TableRow, none: string): readonly string[] =>
  scores.flatMap(({ accuracy, bleu, perplexity }) => [accuracy, bleu, perplexity].map((value) => value?.toFixed(2) ?? none))

const describeSource = ({ published }: TableRow): string => (published ? 'paper' : 'here')

export const tableHeader = ({ directions }: Pick<TransferTable, 'directions'>): readonly string[] => [
  '',
  '',
  ...directions.flatMap((direction) => metrics.map((metric) => `${direction}: ${metric}`)),
]

export const tableLine = (row: TableRow): readonly string[] => [row.method, describeSource(row), ...cells(row, '–')]

export const markdownTable = (table: TransferTable): string => {
  const align = tableHeader(table).map((_, i) => (i < 2 ? 'left' : 'right'))
  return `${table.title}\n\n${markdown(tableHeader(table), table.rows.map(tableLine), align)}`
}

export const csvTable = ({ directions, rows }: TransferTable): string =>
  [
    ['method', 'numbers', ...directions.flatMap((direction) => metrics.map((metric) => `${direction} ${metric}`))],
    ...rows.map((row) => [row.method, describeSource(row), ...cells(row, '')]),
  ]
    .map(csvLine)
    .join('')

export const transferLatex = ({ title, directions, rows }: TransferTable): string => {
  const isFirstOfOurs = (i: number): boolean => rows[i]?.published === false && rows[i - 1]?.published === true
  return latexTable(
    'l rrr rrr',
    [
      `${latexText(title)}${directions.map((direction) => ` & \\multicolumn{3}{c}{${latexText(direction)}}`).join('')} \\\\`,
      '\\cmidrule(lr){2-4} \\cmidrule(lr){5-7}',
      `Method${directions.map(() => ' & ACC $\\uparrow$ & BLEU $\\uparrow$ & PPL $\\downarrow$').join('')} \\\\`,
    ],
    rows.map((row, i) => `${isFirstOfOurs(i) ? '\\midrule\n' : ''}${latexText(row.method)} & ${cells(row, '--').join(' & ')} \\\\`),
  )
}

// Rows of the paper's Table 2: ACC, BLEU and PPL from style 0 and from style 1.
type Published = { readonly method: string; readonly scores: Readonly<Record<string, readonly [Triple, Triple]>> }
type Triple = readonly [accuracy: number, bleu: number, perplexity: number]

/** The paper's row of LLaMA-7B without an adapter is the unchanged input: its BLEU is that of the sources, digit by digit. */
export const published: readonly Published[] = [
  row('Reference', [64.6, 100, 102.62], [93.8, 100, 77.53], [88.44, 100, 66.86], [87.63, 100, 105.28]),
  row('StyTrans', [88.4, 25.85, 173.35], [94.2, 24.9, 141.88], [32.81, 54.91, 144.15], [80.86, 27.69, 201.78]),
  row('StyIns', [92.4, 25.98, 116.01], [89.6, 26.08, 105.79], [54.73, 60.87, 96.53], [80.57, 30.25, 132.54]),
  row('TSST', [91.2, 28.95, 112.86], [94.4, 28.83, 101.92], [65.62, 61.83, 87.04], [85.87, 33.54, 128.78]),
  row('LLaMA-7B', [2.2, 33.58, 208.69], [0.8, 31.12, 156.14], [12.01, 60.18, 189.78], [7.75, 34.61, 145.43]),
  row('LLaMA-7B, LoRA', [71, 25.96, 82.2], [92.8, 31.83, 83.03], [89.34, 61.06, 68.52], [34.45, 41.59, 82.96]),
  row('LLaMA-7B, SaLoRA', [73.2, 24.76, 76.49], [94.6, 31.96, 87.41], [89.63, 61.76, 67.53], [39.04, 40.91, 79.54]),
]

function row(method: string, ...[negative, positive, informal, formal]: readonly [Triple, Triple, Triple, Triple]): Published {
  return { method, scores: { yelp: [negative, positive], gyafc: [informal, formal] } }
}
