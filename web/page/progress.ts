/** What a run says as it trains: its state in one line, its numbers, its curves and its messages. */
import type { FinetuneEvent } from 'salora/web'
import { byId, make } from './elements.js'
import { lineChart, type Point } from '../../reporting/charts/chart.js'
import { chartView, type ChartView } from '../../reporting/page/chartView.js'

export type Progress = {
  readonly begin: (run: string) => void
  readonly add: (event: FinetuneEvent) => void
  readonly say: (line: string) => void
  /** a download: what it says, and its share of a file (null: not known) */
  readonly load: (line: string, share: number | null) => void
  /** adds a line to the messages */
  readonly note: (line: string) => void
  readonly end: () => void
}

/** The most messages that are shown. */
const mostMessages = 200

/** What is known of the run that is shown. */
type Shown = { name: string; steps: number; ended: boolean; last: number; readonly numbers: Map<string, string> }

const say = (line: string): void => {
  byId('status').textContent = line
}

const note = (line: string): void => {
  const list = byId('messages')
  list.append(make('li', line))
  if (list.childElementCount > mostMessages) list.firstElementChild?.remove()
}

/** A number in large digits, and its unit in small ones: `159 ms` fits beside five others. */
const largeNumber = (text: string): HTMLElement => {
  const [digits = '', unit] = text.split(' ')
  return make('span', [make('b', digits), ...(unit === undefined ? [] : [make('small', ` ${unit}`)])], 'value')
}

const showNumbers = (numbers: ReadonlyMap<string, string>): void =>
  byId('numbers').replaceChildren(
    ...[...numbers].map(([title, value]) => make('div', [make('dt', title), make('dd', [largeNumber(value)])])),
  )

/** share: from 0 to 1; null: not known */
const setBar = (share: number | null, of: string): void => {
  const bar = byId<HTMLProgressElement>('bar')
  bar.setAttribute('aria-label', of)
  if (share === null) bar.removeAttribute('value')
  else bar.value = share
}

type OfKind<K extends FinetuneEvent['kind']> = Extract<FinetuneEvent, { readonly kind: K }>

const showStep = (shown: Shown, { step, taskLoss, columns }: OfKind<'step'>): void => {
  const { numbers, steps, name, last } = shown
  const now = performance.now()
  numbers.set(`Step of ${steps}`, String(step)).set('Loss', taskLoss.toFixed(3))
  const { density } = columns as { readonly density?: number | null }
  if (typeof density === 'number') numbers.set('Density', density.toFixed(3))
  if (last > 0) numbers.set('A step', `${Math.round(now - last)} ms`)
  shown.last = now
  showNumbers(numbers)
  setBar(step / Math.max(1, steps), 'Steps done')
  if (step % 10 === 1 || step === steps) say(`Training ${name}: step ${step} of ${steps}`)
}

const showEvaluation = ({ numbers }: Shown, { step, scores }: OfKind<'evaluation'>): void => {
  const [metric, score] = Object.entries(scores)[0] ?? ['score', NaN]
  numbers.set(capitalize(metric), score.toFixed(3))
  showNumbers(numbers)
  const all = Object.entries(scores).map(([of, value]) => `${of} ${value.toFixed(4)}`)
  note(`Step ${step}: ${all.join(', ')}`)
}

const showResult = (shown: Shown, { result: { kept, interrupted, stepsDone, ranks } }: OfKind<'result'>): void => {
  shown.ended = true
  const remaining = Object.values(ranks ?? {})
  if (remaining.length > 0) shown.numbers.set('Mean rank', (remaining.reduce((sum, rank) => sum + rank, 0) / remaining.length).toFixed(2))
  showNumbers(shown.numbers)
  for (const [matrix, rank] of Object.entries(ranks ?? {})) note(`${matrix}: rank ${rank}`)
  say(
    interrupted
      ? `Stopped after step ${stepsDone}; it can be resumed.`
      : `Finished; the adapter is that of step ${kept?.step ?? stepsDone}.`,
  )
}

const show = (shown: Shown, event: FinetuneEvent): void => {
  if (event.kind === 'preparing') say(sentence(event.what))
  if (event.kind === 'preparing' || event.kind === 'warning') note(event.kind === 'warning' ? `Warning: ${event.message}` : event.what)
  if (event.kind === 'start') {
    shown.steps = event.steps
    setBar(0, 'Steps done')
    if (event.announcement !== null) note(event.announcement)
    say(event.resumedAt > 0 ? `Resumed after step ${event.resumedAt} of ${event.steps}` : 'Preparing the first step…')
  }
  if (event.kind === 'phase') note(`Step ${event.step}: ${event.line}`)
  if (event.kind === 'evaluation') showEvaluation(shown, event)
  if (event.kind === 'step') showStep(shown, event)
  if (event.kind === 'result') showResult(shown, event)
}

export const progressIn = (curves: Curves): Progress => {
  let shown: Shown = { name: '', steps: 0, ended: true, last: 0, numbers: new Map() }
  return {
    begin: (name) => {
      shown = { name, steps: 0, ended: false, last: 0, numbers: new Map() }
      curves.clear()
      showNumbers(shown.numbers)
      byId('messages').replaceChildren()
      setBar(0, 'Steps done')
      byId('progress').hidden = false
      say('Loading the model…')
    },
    add: (event) => {
      curves.add(event)
      show(shown, event)
    },
    say,
    load: (line, share) => {
      setBar(share, 'Share of the file')
      say(line)
    },
    note,
    end: () => {
      if (!shown.ended) say('The run ended.')
    },
  }
}

const capitalize = (name: string): string => `${name.charAt(0).toUpperCase()}${name.slice(1)}`

const sentence = (text: string): string => `${capitalize(text)}…`

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
