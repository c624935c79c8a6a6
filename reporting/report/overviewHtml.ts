/** The HTML of a report's first screen. */
import { escapeHtml } from '../charts/escapeHtml.js'
import type { BigNumber, Overview } from './overview.js'

export const overviewHtml = ({ heading, lead, numbers }: Overview): string =>
  `<p class="eyebrow">salora report</p>\n<h1>${escapeHtml(heading)}</h1>\n<p class="lead">${escapeHtml(lead)}</p>\n` +
  (numbers.length === 0 ? '' : `<dl class="numbers">${numbers.map(numberHtml).join('')}</dl>\n`)

const numberHtml = ({ name, value, unit, details, bar }: BigNumber): string =>
  `<div><dt>${escapeHtml(name)}</dt><dd><span class="value">${valueHtml(value, unit)}</span>${bar === null ? '' : barHtml(bar)}` +
  `${details.map((line) => `<span class="detail">${escapeHtml(withUnits(line))}</span>`).join('')}</dd></div>\n`

/** A number is not parted from its percent sign. */
const withUnits = (line: string): string => line.replaceAll(' %', '\u00a0%')

/** `3 min 20 s` has two large numbers, each with its unit. */
const valueHtml = (value: string, unit: string): string =>
  [value, ...unit.split(' ')]
    .filter((word) => word !== '')
    .map((word) => (/^[\d.,]/.test(word) ? `<b>${escapeHtml(word)}</b>` : `<small>${escapeHtml(word)}</small>`))
    .join(' ')

/** Widths come from the page's own numbers, so they are safe as a style. */
const barHtml = ({ share, baseline }: NonNullable<BigNumber['bar']>): string => {
  const percent = (part: number): string => `${(100 * Math.min(1, Math.max(0, part))).toFixed(1)}%`
  const mark = baseline === null ? '' : `<i style="left:${percent(baseline)}"></i>`
  return `<span class="bar-of" aria-hidden="true"><span style="width:${percent(share)}"></span>${mark}</span>`
}
