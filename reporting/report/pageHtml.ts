/** The HTML of a report. It opens from a file, loads nothing, runs no script but its own, and shows whatever a folder contains as text. */
import { textSha256 } from '../../accelerated/storage/native.js'
import { escapeHtml } from '../charts/escapeHtml.js'
import type { PageFiles } from '../pageFiles.js'
import { chartData, figureSection, type PageFigure } from './figureHtml.js'
import type { Overview } from './overview.js'
import { overviewHtml } from './overviewHtml.js'
import { tableSection } from './tableHtml.js'
import type { ReportTable } from './tables/reportTable.js'

export type Page = {
  readonly title: string
  readonly overview: Overview
  /** one paragraph about the file */
  readonly summary: string
  /** one line each */
  readonly warnings: ReadonlyArray<string>
  /** one line for each skipped run, sweep or style transfer */
  readonly skipped: ReadonlyArray<string>
  /** the tables above the figures: those that compare */
  readonly tables: ReadonlyArray<ReportTable>
  readonly figures: ReadonlyArray<PageFigure>
  /** the tables below the figures */
  readonly details: ReadonlyArray<ReportTable>
}

export const pageHtml = (page: Page, { script, style }: PageFiles): string => {
  const { title, overview, summary, warnings, skipped, tables, figures, details } = page
  const hasNoise = figures.some(({ panels }) => panels.some(({ chart }) => chart.kind === 'line' && chart.isNoisy))
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">\n` +
    `<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policyOf(script))}">\n<meta name="referrer" content="no-referrer">\n` +
    `<title>${escapeHtml(title)}</title><link rel="icon" href="data:,"><style>${style}</style></head>\n` +
    `<body>\n<header>${overviewHtml(overview)}` +
    `${warnings.map((line) => `<p class="warning">${escapeHtml(line)}</p>\n`).join('')}${skippedDetails(skipped)}</header>\n` +
    `<main>\n${tables.map(tableSection).join('')}${hasNoise ? '<div id="smoothing"></div>\n' : ''}` +
    `<div class="figures">${figures.map(figureSection(overview.heading)).join('')}</div>\n${details.map(tableSection).join('')}</main>\n` +
    `<footer><p>${escapeHtml(summary)}</p></footer>\n` +
    `<script type="application/json" id="charts">${chartData(figures)}</script>\n<script>${script}</script>\n</body></html>\n`
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

const hashOf = (text: string): string => `'sha256-${Buffer.from(textSha256(text)).toString('base64')}'`

const skippedDetails = (skipped: ReadonlyArray<string>): string =>
  skipped.length === 0
    ? ''
    : `<details><summary>${skipped.length} skipped</summary><ul>${skipped.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul></details>\n`
