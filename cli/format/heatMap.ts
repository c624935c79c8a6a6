/** The ranks that training found, layers down and matrices across; on a terminal each cell's shade is its share of the largest rank. */
import { Chalk } from 'chalk'
import { matrixPlace, matrixTitles } from '../../reporting/charts/matrixNames.js'

/** xterm's 256 colors, dark to bright. */
const shades = [16, 17, 18, 19, 25, 31, 37, 43, 49, 48, 47, 46] as const

/** Lines of the map, its columns in the order of the ranks; a matrix that was not adapted shows a dot. */
export const heatMap = (ranks: Readonly<Record<string, number>>, { color }: { readonly color: boolean }): ReadonlyArray<string> => {
  const cells = Object.entries(ranks).map(([name, rank]) => ({ ...matrixPlace(name), rank }))
  const layers = [...new Set(cells.map(({ layer }) => layer ?? 0))].sort((a, b) => a - b)
  const columns = [...new Set(cells.map(({ column }) => column))]
  const shownTitles = matrixTitles(columns)
  const largest = Math.max(1, ...Object.values(ranks))
  const chalk = new Chalk({ level: color ? 2 : 0 })
  const titleOf = (column: string): string => shownTitles.get(column) ?? column
  const width = (column: string): number => Math.max(titleOf(column).length, String(largest).length)
  const shown = (rank: number | undefined, column: string): string => {
    const text = (rank === undefined ? '·' : String(rank)).padStart(width(column))
    if (rank === undefined || !color) return text
    const shade = shades[Math.round((rank / largest) * (shades.length - 1))] ?? 16
    return (shade >= 37 ? chalk.black : chalk.white).bgAnsi256(shade)(text)
  }
  return [
    `layer  ${columns.map((column) => titleOf(column).padStart(width(column))).join('  ')}`,
    ...layers.map(
      (layer) =>
        `${String(layer).padStart(5)}  ${columns.map((column) => shown(cells.find((cell) => (cell.layer ?? 0) === layer && cell.column === column)?.rank, column)).join('  ')}`,
    ),
  ]
}
