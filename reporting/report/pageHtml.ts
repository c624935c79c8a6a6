/** The HTML of a report. It opens from a file, loads nothing, runs no script but its own, and shows whatever a folder contains as text. */
import { createHash } from 'node:crypto'
import { escapeHtml } from '../charts/escapeText.js'
import { csvOf } from '../charts/csv.js'
import type { FigureContent, Panel } from '../charts/figure.js'
import { formatNumber, plural } from '../charts/formatNumber.js'
import type { Cell, Table } from '../charts/table.js'
import type { PageFiles } from '../pageFiles.js'
import type { ReportTable } from './tables/reportTable.js'

export type PageFigure = Pick<FigureContent, 'caption' | 'table'> & {
  readonly name: string
  readonly title: string
  readonly panels: ReadonlyArray<Omit<Panel, 'spec'> & { readonly svg: string }>
}

export type Page = {
  readonly title: string
  /** one paragraph about the contents */
  readonly summary: string
  /** one line each */
  readonly warnings: ReadonlyArray<string>
  /** one line for each skipped run, sweep or style transfer */
  readonly skipped: ReadonlyArray<string>
  readonly tables: ReadonlyArray<ReportTable>
  readonly figures: ReadonlyArray<PageFigure>
}

export const pageHtml = ({ title, summary, warnings, skipped, tables, figures }: Page, { script, style }: PageFiles): string => {
  const links = [...tables, ...figures].map(({ name, title: text }) => `<li><a href="#${name}">${escapeHtml(text)}</a></li>`).join('')
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">\n` +
    `<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policyOf(script))}">\n<meta name="referrer" content="no-referrer">\n` +
    `<title>${escapeHtml(title)}</title><link rel="icon" href="data:,"><style>${style}</style></head>\n` +
    `<body>\n<header><h1>${escapeHtml(title)}</h1>\n<p class="quiet">${escapeHtml(summary)}</p>\n` +
    `${warnings.map((line) => `<p class="warning">${escapeHtml(line)}</p>\n`).join('')}${skippedDetails(skipped)}` +
    `<nav aria-label="Contents"><ul>${links}</ul></nav></header>\n<main>\n${tables.map(tableSection).join('')}<div class="figures">${figures.map(figureSection).join('')}</div></main>\n` +
    `<script>${script}</script>\n</body></html>\n`
  )
}

/** Allows the page's own script, and nothing from elsewhere. */
const policyOf = (script: string): string =>
  [
    "default-src 'none'",
    "style-src 'unsafe-inline'",
    `script-src ${hashOf(script)}`,
    'img-src blob: data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

const skippedDetails = (skipped: ReadonlyArray<string>): string =>
  skipped.length === 0
    ? ''
    : `<details><summary>${skipped.length} skipped</summary><ul>${skipped.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul></details>\n`

const tableSection = ({ name, title, caption, table, csv, folded = false }: ReportTable): string => {
  const numbers = `${tableHtml(table, title)}${csvBlock(name, title, csv ?? csvOf(table))}`
  return (
    `<section id="${name}"><h2>${escapeHtml(title)}</h2>\n<p>${escapeHtml(caption)}</p>\n` +
    `${folded ? `<details><summary>${plural(table.rows.length, 'row')}</summary>\n${numbers}</details>` : numbers}</section>\n`
  )
}

const figureSection = ({ name, title, caption, panels, table }: PageFigure): string =>
  `<section id="${name}"><h2>${escapeHtml(title)}</h2>\n<p>${escapeHtml(caption)}</p>\n<div class="panels">${panels.map(panelHtml).join('')}</div>\n` +
  `<details><summary>Numbers</summary>\n${tableHtml(table, title)}${csvBlock(name, title, csvOf(table))}</details></section>\n`

const panelHtml = ({ name, title, alternative, svg }: PageFigure['panels'][number]): string => {
  const button = (format: 'svg' | 'png'): string =>
    `<button type="button" hidden data-action="${format}" data-target="${escapeHtml(name)}" aria-label="Save as ${format.toUpperCase()}: ${escapeHtml(title)}">${format.toUpperCase()}</button>`
  return (
    `<figure><figcaption>${escapeHtml(title)}</figcaption>\n<div role="img" aria-label="${escapeHtml(alternative)}">${svg}</div>\n` +
    `<div class="buttons">${button('svg')}${button('png')}</div></figure>\n`
  )
}

/** A button copies the CSV. Its text is also in the page, for readers without scripts. */
const csvBlock = (name: string, title: string, csv: string): string =>
  `<div class="buttons"><button type="button" hidden data-action="copy" data-target="csv-${name}" aria-label="Copy as CSV: ${escapeHtml(title)}">Copy as CSV</button></div>\n` +
  `<details><summary>CSV</summary><textarea id="csv-${name}" readonly spellcheck="false" aria-label="CSV: ${escapeHtml(title)}">\n${escapeHtml(csv)}</textarea></details>\n`

const tableHtml = ({ columns, rows }: Table, label: string): string => {
  const numeric = columns.map((_, i) => rows.some((row) => typeof row[i] === 'number') && rows.every((row) => typeof row[i] !== 'string'))
  const classOf = (i: number): string => (numeric[i] === true ? ' class="n"' : '')
  return (
    `<div class="wide" role="region" aria-label="${escapeHtml(label)}" tabindex="0"><table>\n<thead><tr>` +
    columns.map((column, i) => `<th scope="col"${classOf(i)}>${escapeHtml(column)}</th>`).join('') +
    '</tr></thead>\n<tbody>\n' +
    rows.map((row) => `<tr>${row.map((cell, i) => `<td${classOf(i)}>${escapeHtml(cellText(cell))}</td>`).join('')}</tr>\n`).join('') +
    '</tbody></table></div>\n'
  )
}

const cellText = (cell: Cell): string => {
  if (cell === null) return '–'
  return typeof cell === 'string' ? cell : formatNumber(cell)
}
