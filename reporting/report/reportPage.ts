/** The report as one page of HTML: opens from a file, fetches nothing, runs no script but its own, and shows whatever a folder held as text. */
import { createHash } from 'node:crypto'
import { csvLine } from '../../evaluation/tables/tableText.js'
import type { Cell, DrawnFigure, Panel, Table } from '../charts/figure.js'
import { pageScript } from './pageScript.js'
import { pageStyle } from './pageStyle.js'
import { escapeHtml } from '../charts/escapeText.js'
import type { ReportTable } from './tables/index.js'

export type PageFigure = Pick<DrawnFigure, 'caption' | 'table'> & {
  readonly name: string
  readonly title: string
  readonly panels: ReadonlyArray<Omit<Panel, 'spec'> & { readonly svg: string }>
}

export type Page = {
  readonly title: string
  /** what is in it, in a sentence */
  readonly summary: string
  /** what was left out, one line each */
  readonly leftOut: ReadonlyArray<string>
  readonly tables: ReadonlyArray<ReportTable>
  readonly figures: ReadonlyArray<PageFigure>
}

/** A table as CSV, its numbers in full. */
export const csvOf = ({ columns, rows }: Table): string => [columns, ...rows].map(csvLine).join('')

/** Six digits are for reading; the CSV has all. */
const shownCell = (cell: Cell): string => {
  if (cell === null) return '–'
  if (typeof cell === 'string') return cell
  return Number.isInteger(cell) && Math.abs(cell) < 1e15 ? cell.toLocaleString('en-US') : String(Number(cell.toPrecision(6)))
}

const cellOf = (cell: Cell, numeric: boolean): string => `<td${numeric ? ' class="n"' : ''}>${escapeHtml(shownCell(cell))}</td>`

const tableOf = ({ columns, rows }: Table, label: string): string => {
  const numeric = columns.map((_, i) => rows.some((row) => typeof row[i] === 'number') && rows.every((row) => typeof row[i] !== 'string'))
  return (
    `<div class="wide" role="region" aria-label="${escapeHtml(label)}" tabindex="0"><table>\n<thead><tr>` +
    columns.map((column, i) => `<th scope="col"${numeric[i] === true ? ' class="n"' : ''}>${escapeHtml(column)}</th>`).join('') +
    '</tr></thead>\n<tbody>\n' +
    rows.map((row) => `<tr>${row.map((cell, i) => cellOf(cell, numeric[i] === true)).join('')}</tr>\n`).join('') +
    '</tbody></table></div>\n'
  )
}

/** Both ways to the numbers: a button, and the text itself for where there is no script. */
const csvBlock = (name: string, title: string, csv: string): string =>
  `<div class="buttons"><button type="button" hidden data-does="copy" data-of="csv-${name}" aria-label="Copy as CSV: ${escapeHtml(title)}">Copy as CSV</button></div>\n` +
  `<details><summary>CSV</summary><textarea id="csv-${name}" readonly spellcheck="false" aria-label="CSV: ${escapeHtml(title)}">\n${escapeHtml(csv)}</textarea></details>\n`

const panelOf = ({ name, title, alternative, svg }: PageFigure['panels'][number]): string => {
  const button = (does: string): string =>
    `<button type="button" hidden data-does="${does}" data-of="${escapeHtml(name)}" aria-label="Save as ${does.toUpperCase()}: ${escapeHtml(title)}">${does.toUpperCase()}</button>`
  return (
    `<figure><figcaption>${escapeHtml(title)}</figcaption>\n<div role="img" aria-label="${escapeHtml(alternative)}">${svg}</div>\n` +
    `<div class="buttons">${button('svg')}${button('png')}</div></figure>\n`
  )
}

const figureOf = ({ name, title, caption, panels, table }: PageFigure): string =>
  `<section id="${name}"><h2>${escapeHtml(title)}</h2>\n<p>${escapeHtml(caption)}</p>\n<div class="panels">${panels.map(panelOf).join('')}</div>\n` +
  `<details><summary>Numbers</summary>\n${tableOf(table, title)}${csvBlock(name, title, csvOf(table))}</details></section>\n`

const tableSection = ({ name, title, caption, table, csv, folded = false }: ReportTable): string => {
  const numbers = `${tableOf(table, title)}${csvBlock(name, title, csv ?? csvOf(table))}`
  return (
    `<section id="${name}"><h2>${escapeHtml(title)}</h2>\n<p>${escapeHtml(caption)}</p>\n` +
    `${folded ? `<details><summary>${table.rows.length} lines</summary>\n${numbers}</details>` : numbers}</section>\n`
  )
}

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

export const reportPage = ({ title, summary, leftOut, tables, figures }: Page): string => {
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src ${hashOf(pageScript)}; img-src blob: data:; base-uri 'none'; form-action 'none'`
  const links = [...tables, ...figures].map(({ name, title: text }) => `<li><a href="#${name}">${escapeHtml(text)}</a></li>`).join('')
  const missing =
    leftOut.length === 0
      ? ''
      : `<details><summary>${leftOut.length} left out</summary><ul>${leftOut.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul></details>\n`
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">\n` +
    `<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">\n<meta name="referrer" content="no-referrer">\n` +
    `<title>${escapeHtml(title)}</title><link rel="icon" href="data:,"><style>${pageStyle}</style></head>\n` +
    `<body>\n<header><h1>${escapeHtml(title)}</h1>\n<p class="quiet">${escapeHtml(summary)}</p>\n${missing}` +
    `<nav aria-label="Contents"><ul>${links}</ul></nav></header>\n<main>\n${tables.map(tableSection).join('')}${figures.map(figureOf).join('')}</main>\n` +
    `<script>${pageScript}</script>\n</body></html>\n`
  )
}
