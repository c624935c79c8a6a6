/** The HTML of a report's figures: cards with charts, each with its description, its numbers, and buttons that save it. */
import type { Chart } from '../charts/chart.js'
import { csvOf } from '../charts/csv.js'
import { escapeHtml } from '../charts/escapeHtml.js'
import type { FigureContent } from '../charts/figure.js'
import { drawChart } from '../charts/svg/drawChart.js'
import { csvBlock, tableHtml } from './tableHtml.js'

export type PageFigure = FigureContent & { readonly name: string; readonly title: string }

/** A figure with several charts has a row of its own. @param heading of the page: a chart does not repeat it */
export const figureSection =
  (heading: string) =>
  ({ name, title, caption, panels, table }: PageFigure): string =>
    `<section id="${name}" class="card${panels.length > 1 ? ' whole' : ''}"><h2>${escapeHtml(title)}</h2>\n` +
    `<div class="panels">${panels.map(panelHtml(heading)).join('')}</div>\n<details class="numbers-of"><summary>Numbers</summary>\n` +
    `<p>${escapeHtml(caption)}</p>\n${tableHtml(table, title)}${csvBlock(name, title, csvOf(table))}</details></section>\n`

const panelHtml =
  (heading: string) =>
  ({ name, title, alternative, chart }: PageFigure['panels'][number]): string => {
    const button = (format: 'svg' | 'png'): string =>
      `<button type="button" hidden data-action="${format}" data-target="${escapeHtml(name)}" aria-label="Save as ${format.toUpperCase()}: ${escapeHtml(title)}">${format.toUpperCase()}</button>`
    return (
      `<figure>${title === heading ? '' : `<figcaption>${escapeHtml(title.startsWith(`${heading}: `) ? title.slice(heading.length + 2) : title)}</figcaption>`}\n<div class="chart" data-chart="${escapeHtml(name)}" role="img" aria-label="${escapeHtml(alternative)}">${drawChart(chart)}</div>\n` +
      `<div class="buttons">${button('svg')}${button('png')}</div></figure>\n`
    )
  }

/** The charts as data, with which the page draws them at its own width: JSON in which nothing can end the element. */
export const chartData = (figures: ReadonlyArray<PageFigure>): string => {
  const charts: Readonly<Record<string, Chart>> = Object.fromEntries(
    figures.flatMap(({ panels }) => panels.map(({ name, chart }) => [name, chart] as const)),
  )
  const short = (_: string, value: unknown): unknown =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value
  return JSON.stringify(charts, short).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}
