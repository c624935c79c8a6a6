/** Figures of curves over steps: a panel for each task, with the mean over runs as line and the range of the runs as band. */
import { seriesLimit } from '../chartStyle.js'
import { bandOf, type Band, type Bucket } from '../downSample.js'
import type { Figure, FigureContent, Panel, PlottedSeries } from '../figure.js'
import { lineChart, type Point } from '../lineChart.js'
import { omittedSentence, panelLimit, slug, spokenNumber } from '../panels.js'
import type { RunCurves } from '../runCurves.js'
import { groupBy } from '../../groupBy.js'

export type CurveFigure = {
  readonly name: string
  readonly title: string
  /** title of the y axis */
  readonly axis: (series: PlottedSeries) => string
  readonly curveOf: (curves: RunCurves, series: PlottedSeries) => ReadonlyArray<Bucket>
  readonly caption: string
  readonly logarithmic?: boolean
  /** whether the values jump from step to step, so that a page may smooth them */
  readonly isNoisy?: boolean
}

export const curveFigure = (figure: CurveFigure): Figure => ({
  name: figure.name,
  title: figure.title,
  plot: (series) => {
    const withBands = series.flatMap((one) => {
      const curves = one.curves.map((run) => figure.curveOf(run, one))
      const bands = bandOf(curves, one.width)
      return bands.length === 0 ? [] : [{ ...one, bands }]
    })
    return withBands.length === 0 ? null : contentOf(figure, withBands)
  },
})

type BandedSeries = PlottedSeries & { readonly bands: ReadonlyArray<Band> }

const contentOf = (figure: CurveFigure, series: ReadonlyArray<BandedSeries>): FigureContent => {
  const byTask = [...groupBy(series, ({ task }) => task)].slice(0, panelLimit)
  const shown = byTask.reduce((sum, [, ofTask]) => sum + Math.min(seriesLimit, ofTask.length), 0)
  return {
    caption: figure.caption + bandSentence(series) + bucketSentence(series) + omittedSentence(series.length - shown, 'series'),
    panels: byTask.map(([task, ofTask]) => panelOf(figure, task, ofTask.slice(0, seriesLimit))),
    table: {
      columns: ['task', 'series', 'runs', 'first step', 'last step', 'mean', 'min', 'max'],
      rows: series.flatMap(({ task, label, bands }) =>
        bands.map(({ runs, from, to, mean, low, high }) => [task, label, runs, from, to, mean, low, high]),
      ),
    },
  }
}

const bandSentence = (series: ReadonlyArray<BandedSeries>): string =>
  series.some(({ curves }) => curves.length > 1) ? ' Line: mean over runs. Band: minimum to maximum of the runs.' : ''

const bucketSentence = (series: ReadonlyArray<BandedSeries>): string => {
  const widest = Math.max(...series.map(({ width }) => width))
  return widest === 1 ? '' : ` Each point combines up to ${widest} steps: their mean, and a band from minimum to maximum.`
}

const panelOf = (figure: CurveFigure, task: string, series: ReadonlyArray<BandedSeries>): Panel => {
  const [first] = series
  const axis = first === undefined ? '' : figure.axis(first)
  const points = series.flatMap(({ label, bands }) =>
    bands.map(({ to, mean, low, high }): Point => ({ series: label, x: to, y: mean, low, high })),
  )
  return {
    name: `${figure.name}-${slug(task)}`,
    title: task,
    alternative: `${figure.title}, ${task}: ${axis} over steps. ${series.map(spokenSeries).join(' ')}`,
    chart: lineChart(
      points,
      { title: 'step' },
      { title: axis, ...(figure.logarithmic === true ? { logarithmic: true } : {}) },
      { isNoisy: figure.isNoisy === true },
    ),
  }
}

const spokenSeries = ({ label, bands }: BandedSeries): string => {
  const [first, last] = [bands[0], bands.at(-1)]
  return first === undefined || last === undefined
    ? ''
    : `${label}: from ${spokenNumber(first.mean)} at step ${first.to} to ${spokenNumber(last.mean)} at step ${last.to}.`
}
