/** Tables for every reader: aligned text, HTML, Markdown, CSV and LaTeX. Whatever a name contains, it stays one cell. Page scripts import this file. */

export type Cell = string | number | null | Markup

/** A cell of a page with HTML of its own, in which every text is escaped, and the text that says the same. */
export type Markup = { readonly html: string; readonly text: string }

export type Table = { readonly columns: readonly string[]; readonly rows: readonly (readonly Cell[])[] }

/** Six digits and separated thousands; CSV has all digits. */
export const formatNumber = (value: number): string =>
  Number.isInteger(value) && Math.abs(value) < 1e15 ? value.toLocaleString('en-US') : String(Number(value.toPrecision(6)))

const cellText = (cell: Cell): string => {
  if (cell === null) return '–'
  return typeof cell === 'string' ? cell : typeof cell === 'number' ? formatNumber(cell) : cell.text
}

const cellHtml = (cell: Cell): string => (typeof cell === 'object' && cell !== null ? cell.html : escapeHtml(cellText(cell)))

/** Numbers are on the right, and so are texts that begin with one. */
const isNumeric = (cell: Cell): boolean => cell === null || typeof cell === 'number' || /^[-−+±]?\s?\d|^–$|^$/.test(cellText(cell))

const isNumericColumn = (rows: Table['rows'], i: number): boolean =>
  i > 0 && rows.some((row) => row[i] !== null) && rows.every((row) => isNumeric(row[i] ?? null))

/** Lines of aligned columns for a terminal. @param left numbers of the columns that are aligned to the left */
export const alignedTable = (
  rows: readonly (readonly string[])[],
  { left = [0] }: { readonly left?: readonly number[] } = {},
): readonly string[] => {
  const widths = (rows[0] ?? []).map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0))
  return rows.map((row) =>
    row
      .map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

const signs: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** For text and attributes of HTML and SVG. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (sign) => signs[sign] ?? sign)

/** A table that scrolls sideways where it is too wide, and takes the keyboard's focus for that. */
export const htmlTable = ({ columns, rows }: Table, label: string): string => {
  const classes = columns.map((_, i) => (isNumericColumn(rows, i) ? ' class="n"' : ''))
  return (
    `<div class="wide" role="region" aria-label="${escapeHtml(label)}" tabindex="0"><table>\n<thead><tr>` +
    columns.map((column, i) => `<th scope="col"${classes[i]}>${escapeHtml(column)}</th>`).join('') +
    '</tr></thead>\n<tbody>\n' +
    rows.map((row) => `<tr>${row.map((cell, i) => `<td${classes[i]}>${cellHtml(cell)}</td>`).join('')}</tr>\n`).join('') +
    '</tbody></table></div>\n'
  )
}

const markdownLine = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replace(/[\r\n]+/g, ' ')).join(' | ')} |\n`

/** @param align one entry per column; 'right' for numbers that are compared down the column */
export const markdownTable = (
  header: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly ('left' | 'right')[] = [],
): string => [header, header.map((_, i) => (align[i] === 'right' ? '---:' : '---')), ...rows].map(markdownLine).join('')

/** null and undefined are empty cells. */
export const csvLine = (cells: readonly unknown[]): string => `${cells.map(csvCell).join(',')}\n`

/** With all digits of the numbers. */
export const csvTable = ({ columns, rows }: Table): string =>
  [columns, ...rows.map((row) => row.map((cell) => (typeof cell === 'object' ? (cell?.text ?? null) : cell)))].map(csvLine).join('')

const csvCell = (value: unknown): string => {
  const text = value === null || value === undefined ? '' : String(value)
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const latexSigns: Readonly<Record<string, string>> = {
  λ: '$\\lambda$',
  β: '$\\beta$',
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
}

/** A table for booktabs. @param columns as LaTeX names them @param head, body finished lines */
export const latexTable = (columns: string, head: readonly string[], body: readonly string[]): string =>
  [`\\begin{tabular}{${columns}}`, '\\toprule', ...head, '\\midrule', ...body, '\\bottomrule', '\\end{tabular}', ''].join('\n')

export const latexText = (text: string): string => text.replace(/[\\~^&%$#_{}λβ]/g, (sign) => latexSigns[sign] ?? `\\${sign}`)
