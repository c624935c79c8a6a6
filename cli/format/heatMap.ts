/** The ranks of a run, layers down and matrices across; on a terminal the background grows brighter with the rank. */
import { styleText } from 'node:util'
import { matrixPlace, matrixTitles } from '../../reporting/charts/matrixNames.js'

/** Dark to bright. */
const shades = ['bgBlack', 'bgBlue', 'bgBlueBright', 'bgCyan', 'bgCyanBright', 'bgGreen', 'bgGreenBright'] as const
/** From here on black text is easier to read than white. */
const firstBright = shades.indexOf('bgCyan')

const shaded = (text: string, fraction: number): string => {
  const shade = Math.round(fraction * (shades.length - 1))
  // the terminal was asked already whether it shows colors
  return styleText([shade >= firstBright ? 'black' : 'white', shades[shade] ?? 'bgBlack'], text, { validateStream: false })
}

/** Lines of the map, columns in the order of the ranks; a dot marks a matrix without an adapter. */
export const heatMap = (ranks: Readonly<Record<string, number>>, { color }: { readonly color: boolean }): ReadonlyArray<string> => {
  const cells = Object.entries(ranks).map(([name, rank]) => ({ ...matrixPlace(name), rank }))
  const layers = [...new Set(cells.map(({ layer }) => layer ?? 0))].sort((a, b) => a - b)
  const columns = [...new Set(cells.map(({ column }) => column))]
  const titles = matrixTitles(columns)
  const largest = Math.max(1, ...Object.values(ranks))
  const titleOf = (column: string): string => titles.get(column) ?? column
  const width = (column: string): number => Math.max(titleOf(column).length, String(largest).length)
  const cellText = (rank: number | undefined, column: string): string => {
    const text = (rank === undefined ? '·' : String(rank)).padStart(width(column))
    return rank === undefined || !color ? text : shaded(text, rank / largest)
  }
  return [
    `layer  ${columns.map((column) => titleOf(column).padStart(width(column))).join('  ')}`,
    ...layers.map(
      (layer) =>
        `${String(layer).padStart(5)}  ${columns.map((column) => cellText(cells.find((cell) => (cell.layer ?? 0) === layer && cell.column === column)?.rank, column)).join('  ')}`,
    ),
  ]
}
