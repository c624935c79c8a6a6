/** The sections of the page, which report and board share: large numbers, figures and tables. Page scripts import this file too. */
import { csvTable, htmlTable, type Table } from '../../evaluation/tables/tableText.js'
import type { Panel, PlottedFigure } from '../figures/figure.js'
import { html, type Html } from '../text/html.js'
import { plural } from '../text/units.js'

export type ReportTable = {
  /** id of the table in the page */
  readonly name: string
  readonly title: string
  readonly caption: string
  readonly table: Table
  /** absent: the cells as CSV */
  readonly csv?: string
  /** whether the page folds the table, because it is long */
  readonly folded?: boolean
}

export type FigureOptions = {
  /** of the page: a chart does not repeat it */
  readonly heading: string
  /** the SVG of a chart; null: the page's script draws it */
  readonly draw: (panel: Panel) => string | null
  /** whether the numbers are in the page: thousands of cells cost time where they change */
  readonly hasNumbers: boolean
}

/** A figure with several charts has a row of its own. */
export const figureSection = ({ name, title, caption, panels, table }: PlottedFigure, options: FigureOptions): Html => html`
<section id="${name}" class="card${panels.length > 1 ? ' whole' : ''}"><h2>${title}</h2>
<div class="panels">${panels.map((panel) => panelFigure(panel, options))}</div>
<details class="numbers-of" id="numbers-${name}"><summary>Numbers</summary><p>${caption}</p>
${options.hasNumbers ? [tableRegion(table, title), csvBlock(name, title, csvTable(table))] : null}</details></section>`

/** A heat map may scroll, so it takes the keyboard's focus. */
const panelFigure = ({ name, title, alternative, chart }: Panel, { heading, draw }: FigureOptions): Html => {
  const button = (format: 'svg' | 'png'): Html =>
    html`<button type="button" data-action="${format}" data-target="${name}" aria-label="Save as ${format.toUpperCase()}: ${title}">${format.toUpperCase()}</button>`
  const shown = title.startsWith(`${heading}: `) ? title.slice(heading.length + 2) : title
  return html`<figure>${title === heading ? null : html`<figcaption>${shown}</figcaption>`}
<div class="chart" data-chart="${name}" role="img" aria-label="${alternative}"${chart.kind === 'heatMap' ? html` tabindex="0"` : null}>${{ html: draw({ name, title, alternative, chart }) ?? '' }}</div>
<div class="buttons">${button('svg')}${button('png')}</div></figure>`
}

export const tableSection = ({ name, title, caption, table, csv, folded = false }: ReportTable): Html => {
  const numbers = [tableRegion(table, title), csvBlock(name, title, csv ?? csvTable(table))]
  return html`
<section id="${name}" class="card whole"><h2>${title}</h2>
<p>${caption}</p>
${folded ? html`<details id="rows-${name}" class="rows"><summary>${plural(table.rows.length, 'row')}</summary>${numbers}</details>` : numbers}</section>`
}

/** A piece of a text; an entity has its type, and what a tooltip adds. */
export type TextPiece = { readonly text: string; readonly entity: { readonly type: string; readonly title?: string } | null }

/** The number of colors of marked entities in page.css. */
const markColors = 6

/** A text whose entities are marked and named. @param types all that share the colors, in their order */
export const taggedText = (pieces: readonly TextPiece[], types: readonly string[]): Html => {
  const mark = (text: string, { type, title }: NonNullable<TextPiece['entity']>): Html =>
    html`<mark class="type-${Math.max(0, types.indexOf(type)) % markColors}"${title === undefined ? null : html` title="${title}"`}>${text}<small> ${type}</small></mark>`
  return html`<span class="tagged">${pieces.map(({ text, entity }) => (entity === null ? text : mark(text, entity)))}</span>`
}

export const tableRegion = (table: Table, label: string): Html => ({ html: htmlTable(table, label) })

/** A button copies the CSV. Its text is also in the page, for readers without scripts. */
const csvBlock = (name: string, title: string, csv: string): Html => html`
<div class="csv"><button type="button" data-action="copy" data-target="csv-${name}" aria-label="Copy as CSV: ${title}">Copy as CSV</button>
<details id="fold-${name}"><summary>CSV</summary><textarea id="csv-${name}" readonly spellcheck="false" aria-label="CSV: ${title}">
${csv}</textarea></details></div>`

export type BigNumber = {
  /** the question that the number answers */
  readonly name: string
  readonly value: string
  readonly unit: string
  /** short lines below the number: the baseline first */
  readonly details: readonly string[]
  /** a bar: the share, and where the baseline is on it; null: no bar */
  readonly bar: { readonly share: number; readonly baseline: number | null } | null
}

export const numberList = (numbers: readonly BigNumber[]): Html | null =>
  numbers.length === 0 ? null : html`<dl class="numbers">${numbers.map(bigNumber)}</dl>`

/** A number is not parted from its percent sign. */
const bigNumber = ({ name, value, unit, details, bar }: BigNumber): Html =>
  html`<div><dt>${name}</dt><dd><span class="value">${valueParts(value, unit)}</span>${bar === null ? null : drawBar(bar)}${details.map(
    (line) => html`<span class="detail">${line.replaceAll(' %', '\u00a0%')}</span>`,
  )}</dd></div>`

/** `3 min 20 s` has two large numbers, each with its unit. */
const valueParts = (value: string, unit: string): readonly Html[] =>
  [value, ...unit.split(' ')]
    .filter((word) => word !== '')
    .map((word) => (/^[\d.,]/.test(word) ? html`<b>${word}</b> ` : html`<small>${word}</small> `))

export const formatPercent = (share: number): string => `${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%`

/** A bar as SVG: the board's policy allows no style attribute. @param share from 0 to 1 */
export const drawBar = ({ share, baseline }: NonNullable<BigNumber['bar']>): Html =>
  html`<svg class="bar-of" aria-hidden="true"><rect width="100%" height="6" y="4" rx="3" class="ground"/><rect width="${formatPercent(share)}" height="6" y="4" rx="3"/>${
    baseline === null ? null : html`<rect x="${formatPercent(baseline)}" width="2" height="14" class="mark"/>`
  }</svg>`
