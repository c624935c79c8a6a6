/** Tables as Markdown, CSV and LaTeX: whatever a name contains, it stays one cell. */

const markdownLine = (cells: ReadonlyArray<string>): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replace(/[\r\n]+/g, ' ')).join(' | ')} |\n`

/** @param align one entry per column; 'right' for numbers that are compared down the column */
export const markdownTable = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  align: ReadonlyArray<'left' | 'right'> = [],
): string => [header, header.map((_, i) => (align[i] === 'right' ? '---:' : '---')), ...rows].map(markdownLine).join('')

/** null and undefined are empty cells. */
export const csvLine = (cells: ReadonlyArray<unknown>): string => `${cells.map(csvCell).join(',')}\n`

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

export const latexText = (text: string): string => text.replace(/[\\~^&%$#_{}λβ]/g, (sign) => latexSigns[sign] ?? `\\${sign}`)
