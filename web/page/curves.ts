/** The curves of a run, drawn as it trains: the loss in sight, the others behind a disclosure. */
import type { FinetuneEvent } from 'salora/web'
import { lineChart, type Point } from '../../reporting/charts/chart.js'
import { chartView, type ChartView } from '../../reporting/page/chartView.js'
import { byId, make } from './elements.js'

export type Curves = {
  /** forgets the run before */
  readonly clear: () => void
  readonly add: (event: FinetuneEvent) => void
}

const titles = {
  loss: 'Loss of training, smoothed over the faint raw values',
  score: 'Scores of the rows it never saw',
  density: 'Density: the share of ranks that remains',
  rank: 'Mean rank of a matrix',
} as const
type Name = keyof typeof titles

type Curve = { readonly view: ChartView; readonly points: Point[] }

/** Milliseconds between two drawings, and the weight of the past in the smoothed loss. */
const [interval, smoothing] = [300, 0.9]

/** The loss is in #loss, the others are in #charts. */
export const openCurves = (): Curves => {
  const curves = new Map<Name, Curve>()
  let [waiting, steps] = [false, 0]
  const draw = (): void => {
    waiting = false
    const x = { title: 'step', ...(steps === 0 ? {} : { to: steps }) }
    for (const [name, { view, points }] of curves) view.show(lineChart(points, x, { title: '' }, { isNoisy: name === 'loss' }))
  }
  const put = (name: Name, point: Point): void => {
    const curve = curves.get(name) ?? newCurve(name)
    curves.set(name, curve)
    curve.points.push(point)
    if (waiting) return
    waiting = true
    setTimeout(draw, interval)
  }
  return {
    clear: () => {
      curves.clear()
      steps = 0
      for (const id of ['loss', 'charts']) byId(id).replaceChildren()
    },
    add: (event) => {
      if (event.kind === 'start') steps = event.steps
      if (event.kind === 'step') {
        put('loss', { series: 'training', x: event.step, y: event.taskLoss })
        const { density } = event.columns as { readonly density?: number | null }
        if (typeof density === 'number') put('density', { series: 'density', x: event.step, y: density })
      }
      if (event.kind === 'evaluation') {
        for (const [series, y] of Object.entries(event.scores)) if (series !== 'loss') put('score', { series, x: event.step, y })
      }
      if (event.kind === 'ranks') {
        const ranks = Object.values(event.ranks)
        put('rank', { series: 'expected rank', x: event.step, y: ranks.reduce((sum, rank) => sum + rank, 0) / Math.max(1, ranks.length) })
      }
    },
  }
}

const newCurve = (name: Name): Curve => {
  const drawing = make('div', '', 'place')
  drawing.setAttribute('role', 'img')
  drawing.setAttribute('aria-label', `${titles[name]}, by step`)
  byId(name === 'loss' ? 'loss' : 'charts').append(make('figure', [make('figcaption', titles[name]), drawing]))
  return { view: chartView(drawing, smoothing), points: [] }
}
