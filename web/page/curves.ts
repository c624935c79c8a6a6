/** The curves of a run as it trains: loss, score, density and ranks, by the charts of the report. */
import type { FinetuneEvent } from 'salora/web'
import { lineChart, type Point } from '../../reporting/charts/chart.js'
import { chartView, type ChartView } from '../../reporting/page/chartView.js'
import { make } from './elements.js'

type Curve = { readonly view: ChartView; readonly figure: HTMLElement; readonly points: Point[] }

export type Curves = {
  /** forgets the run before */
  readonly clear: () => void
  readonly add: (event: FinetuneEvent) => void
}

const titles = {
  loss: 'Loss',
  score: 'Score of the held-out rows',
  density: 'Density: the share of ranks that remains',
  rank: 'Mean rank of a matrix',
} as const
type Name = keyof typeof titles

/** Milliseconds between two drawings of a curve. */
const interval = 300

export const curvesIn = (place: HTMLElement): Curves => {
  const curves = new Map<Name, Curve>()
  let waiting = false
  const draw = (): void => {
    waiting = false
    for (const { view, points } of curves.values()) view.show(lineChart(points, { title: 'step' }, { title: '' }, { isNoisy: false }))
  }
  const put = (name: Name, point: Point): void => {
    const curve = curves.get(name) ?? newCurve(place, name)
    curves.set(name, curve)
    curve.points.push(point)
    if (waiting) return
    waiting = true
    setTimeout(draw, interval)
  }
  return {
    clear: () => {
      curves.clear()
      place.replaceChildren()
    },
    add: (event) => {
      if (event.kind === 'step') {
        put('loss', { series: 'training', x: event.step, y: event.taskLoss })
        const { density } = event.columns as { readonly density?: number | null }
        if (typeof density === 'number') put('density', { series: 'density', x: event.step, y: density })
      }
      if (event.kind === 'evaluation') {
        for (const [name, y] of Object.entries(event.scores))
          if (name === 'loss') put('loss', { series: 'held-out rows', x: event.step, y })
          else put('score', { series: name, x: event.step, y })
      }
      if (event.kind === 'ranks') {
        const ranks = Object.values(event.ranks)
        put('rank', { series: 'expected rank', x: event.step, y: ranks.reduce((sum, rank) => sum + rank, 0) / Math.max(1, ranks.length) })
      }
    },
  }
}

const newCurve = (place: HTMLElement, name: Name): Curve => {
  const drawing = make('div', '', 'place')
  drawing.setAttribute('role', 'img')
  drawing.setAttribute('aria-label', `${titles[name]} by step`)
  const figure = make('figure', [make('h2', titles[name]), drawing])
  place.append(figure)
  return { view: chartView(drawing), figure, points: [] }
}
