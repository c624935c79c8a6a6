/** Cells of tables as Markdown, CSV and LaTeX have them: whatever a name holds, it stays one cell. */

export const markdownLine = (cells: ReadonlyArray<string>): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replace(/[\r\n]+/g, ' ')).join(' | ')} |\n`

/** null and undefined are empty */
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
