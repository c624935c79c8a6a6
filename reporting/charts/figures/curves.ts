/** Curves over steps: what figures of losses, scores and gates have in common. A panel for each task; the line is the mean over runs, the band all that any run had. */
import { lineChart, notShown, panelLimit, seriesLimit, slug, type Point } from '../chart.js'
import { bandOf, type Band, type Bucket } from '../downSample.js'
import type { DrawnFigure, DrawnSeries, Figure, Panel } from '../figure.js'
import type { RunCurves } from '../runCurves.js'
import { grouped } from '../series.js'

export type CurveFigure = {
  readonly name: string
  readonly title: string
  /** of the values, for one task */
  readonly axis: (series: DrawnSeries) => string
  readonly of: (curves: RunCurves, series: DrawnSeries) => ReadonlyArray<Bucket>
  /** what these numbers are */
  readonly caption: string
  readonly logarithmic?: boolean
}

export const curveFigure = (figure: CurveFigure): Figure => ({
  name: figure.name,
  title: figure.title,
  draw: (series) => {
    const drawn = series.flatMap((one) => {
      const bands = bandOf(
        one.curves.map((curves) => figure.of(curves, one)),
        one.width,
      )
      return bands.length === 0 ? [] : [{ ...one, bands }]
    })
    return drawn.length === 0 ? null : figureOf(figure, drawn)
  },
})

type Banded = DrawnSeries & { readonly bands: ReadonlyArray<Band> }

const figureOf = (figure: CurveFigure, drawn: ReadonlyArray<Banded>): DrawnFigure => {
  const byTask = [...grouped(drawn, ({ task }) => task)]
  const shown = byTask.slice(0, panelLimit)
  const fitting = shown.reduce((sum, [, ofTask]) => sum + Math.min(seriesLimit, ofTask.length), 0)
  const widest = Math.max(...drawn.map(({ width }) => width))
  return {
    caption:
      figure.caption +
      (drawn.some(({ curves }) => curves.length > 1) ? ' Line: mean over runs; band: smallest to largest of any run.' : '') +
      (widest === 1 ? '' : ` Steps are taken together, up to ${widest} at a time: the band keeps their smallest and largest value.`) +
      notShown(drawn.length - fitting, 'series'),
    panels: shown.map(([task, ofTask]) => panelOf(figure, task, ofTask.slice(0, seriesLimit))),
    table: {
      columns: ['task', 'series', 'runs', 'first step', 'last step', 'mean', 'smallest', 'largest'],
      rows: drawn.flatMap(({ task, label, bands }) =>
        bands.map(({ runs, from, to, mean, low, high }) => [task, label, runs, from, to, mean, low, high]),
      ),
    },
  }
}

const panelOf = (figure: CurveFigure, task: string, series: ReadonlyArray<Banded>): Panel => {
  const [first] = series
  const axis = first === undefined ? '' : figure.axis(first)
  const points = series.flatMap(({ label, bands }) =>
    bands.map(({ to, mean, low, high }): Point => ({ series: label, x: to, y: mean, low, high })),
  )
  return {
    name: `${figure.name}-${slug(task)}`,
    title: task,
    alternative: `${figure.title}, ${task}: ${axis} over steps. ${series.map(told).join(' ')}`,
    spec: lineChart(points, { title: 'step' }, { title: axis, logarithmic: figure.logarithmic === true }),
  }
}

const told = ({ label, bands }: Banded): string => {
  const [first, last] = [bands[0], bands.at(-1)]
  return first === undefined || last === undefined
    ? ''
    : `${label}: from ${rounded(first.mean)} at step ${first.to} to ${rounded(last.mean)} at step ${last.to}.`
}

/** As it is read aloud. */
export const rounded = (value: number): string => String(Number(value.toPrecision(4)))
