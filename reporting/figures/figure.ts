/** The types of figures, how many panels they have, and what captions and alternative texts say. A new figure is a line in index.ts. */
import { group } from 'd3-array'
import type { Table } from '../../evaluation/tables/tableText.js'
import { seriesLimit, type Chart } from '../charts/chart.js'
import type { RunCurves } from '../runs/runCurves.js'
import type { Series } from '../runs/series.js'
import { escapeText } from '../text/html.js'

/** A series with the curves of its runs. A run without a readable metrics.jsonl has no curves. */
export type PlottedSeries = Series & {
  readonly curves: readonly RunCurves[]
  /** steps in one bucket of the curves */
  readonly width: number
}

export type Panel = {
  /** base name of the panel's files: letters, digits and hyphens */
  readonly name: string
  readonly title: string
  /** alternative text: what a reader sees in the chart */
  readonly alternative: string
  readonly chart: Chart
}

export type FigureContent = {
  readonly caption: string
  readonly panels: readonly Panel[]
  /** the numbers of all panels, and those beyond the limits */
  readonly table: Table
}

/** A figure of a page; its name is its id there. */
export type PlottedFigure = FigureContent & { readonly name: string; readonly title: string }

export type Figure = Pick<PlottedFigure, 'name' | 'title'> & {
  /** @returns null if these runs have nothing to show */
  readonly plot: (series: readonly PlottedSeries[]) => FigureContent | null
}

/** Maximum number of panels in one figure. */
export const panelLimit = 12

/** A name as part of a file name: letters, digits and hyphens. */
export const slug = (text: string): string =>
  escapeText(text)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 60) || 'panel'

/** A panel for each task with its first series or lines, and the caption's sentence about the others. */
export const panelsByTask = <Drawn extends { readonly task: string }>(
  all: readonly Drawn[],
  noun: string,
  panelOf: (task: string, drawn: readonly Drawn[]) => Panel,
): { readonly panels: readonly Panel[]; readonly omitted: string } => {
  const byTask = [...group(all, ({ task }) => task)]
    .slice(0, panelLimit)
    .map(([task, ofTask]) => [task, ofTask.slice(0, seriesLimit)] as const)
  const shown = byTask.reduce((sum, [, ofTask]) => sum + ofTask.length, 0)
  return { panels: byTask.map(([task, ofTask]) => panelOf(task, ofTask)), omitted: omittedSentence(all.length - shown, noun) }
}

/** A caption's sentence about series or panels beyond the limits. */
export const omittedSentence = (count: number, noun: string): string =>
  count <= 0 ? '' : ` The chart omits ${count} more ${noun}; the numbers below include them.`

/** A number in an alternative text, which may be read aloud. */
export const spokenNumber = (value: number): string => String(Number(value.toPrecision(4)))
