/** The HTML of a report's tables, with their numbers as CSV. */
import { csvOf } from '../charts/csv.js'
import { escapeHtml } from '../charts/escapeHtml.js'
import { plural } from '../charts/formatNumber.js'
import type { Table } from '../charts/table.js'
import { cellText, numericColumns } from '../charts/tableText.js'
import type { ReportTable } from './tables/reportTable.js'

export const tableSection = ({ name, title, caption, table, csv, folded = false }: ReportTable): string => {
  const numbers = `${tableHtml(table, title)}${csvBlock(name, title, csv ?? csvOf(table))}`
  return (
    `<section id="${name}" class="card whole"><h2>${escapeHtml(title)}</h2>\n<p>${escapeHtml(caption)}</p>\n` +
    `${folded ? `<details><summary>${plural(table.rows.length, 'row')}</summary>\n${numbers}</details>` : numbers}</section>\n`
  )
}

/** A button copies the CSV. Its text is also in the page, for readers without scripts. */
export const csvBlock = (name: string, title: string, csv: string): string =>
  `<div class="csv"><button type="button" hidden data-action="copy" data-target="csv-${name}" aria-label="Copy as CSV: ${escapeHtml(title)}">Copy as CSV</button>\n` +
  `<details><summary>CSV</summary><textarea id="csv-${name}" readonly spellcheck="false" aria-label="CSV: ${escapeHtml(title)}">\n${escapeHtml(csv)}</textarea></details></div>\n`

export const tableHtml = (table: Table, label: string): string => {
  const { columns, rows } = table
  const numeric = numericColumns(table)
  const classOf = (i: number): string => (numeric[i] === true ? ' class="n"' : '')
  return (
    `<div class="wide" role="region" aria-label="${escapeHtml(label)}" tabindex="0"><table>\n<thead><tr>` +
    columns.map((column, i) => `<th scope="col"${classOf(i)}>${escapeHtml(column)}</th>`).join('') +
    '</tr></thead>\n<tbody>\n' +
    rows.map((row) => `<tr>${row.map((cell, i) => `<td${classOf(i)}>${escapeHtml(cellText(cell))}</td>`).join('')}</tr>\n`).join('') +
    '</tbody></table></div>\n'
  )
}
