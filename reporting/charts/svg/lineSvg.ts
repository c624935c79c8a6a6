/** Draws line charts. The value axis is titled above the plot, and the raw line of a smoothed one stays visible, faint. */
import { seriesColor, seriesDash } from '../chartStyle.js'
import type { Axis, Line, LineChart } from '../chart.js'
import { gridLine, legend, pathOf, px, svg, text, textWidth } from './marks.js'
import { linearScale, logarithmicScale, symmetricLogScale, tickText, type Scale } from './scales.js'
import { smoothed } from './smoothing.js'

export type LineLayout = { readonly width: number; readonly height: number; readonly smoothing: number }

/** With at most this many points a line, each point has a mark. */
const markedPoints = 30

/** The scales of a chart and its plot's edges: pages find the point under the pointer with them. */
export type LineFrame = {
  readonly x: Scale
  readonly y: Scale
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
  readonly height: number
  readonly legend: string
}

export const lineNames = ({ lines, levels }: LineChart): ReadonlyArray<string> => [
  ...new Set([...lines.map(({ name }) => name), ...levels.map(({ name }) => name)]),
]

export const lineFrame = (chart: LineChart, { width, height }: Pick<LineLayout, 'width' | 'height'>): LineFrame => {
  const names = lineNames(chart)
  const entries = names.length < 2 ? [] : names.map((name, i) => ({ name, color: seriesColor(i), dash: seriesDash(i) }))
  const drawn = legend(entries, 0, width)
  const top = drawn.height + (chart.y.title === '' ? 10 : 24)
  const bottom = top + height
  const yDomain = valueDomain(chart)
  const y = chart.y.logarithmic === true ? symmetricLogScale(yDomain, [bottom, top]) : linearScale(yDomain, [bottom, top], 4)
  const left = Math.max(24, ...y.ticks.map((tick) => textWidth(tickText(tick)) + 10))
  const right = width - 10
  const whole = bottom + (chart.x.title === '' ? 22 : 38)
  return { x: positionScale(chart, [left, right]), y, left, right, top, bottom, height: whole, legend: drawn.content }
}

const positionScale = ({ x, lines }: LineChart, range: readonly [number, number]): Scale => {
  const positions = lines.flatMap(({ points }) => points.map(([at]) => at))
  const domain = [Math.min(...positions), Math.max(...positions)] as const
  if (positions.length === 0) return linearScale([0, 1], range, 1)
  return x.values === undefined
    ? linearScale(domain, range, Math.max(2, (range[1] - range[0]) / 110))
    : logarithmicScale(domain, range, x.values)
}

/** From the lowest to the highest value with bands and levels, and a little air: a curve does not touch the frame. */
const valueDomain = ({ lines, levels, y }: LineChart): readonly [number, number] => {
  let [low, high] = [Infinity, -Infinity]
  for (const { points } of lines)
    for (const [, value, from = value, to = value] of points) [low, high] = [Math.min(low, from), Math.max(high, to)]
  for (const { y: level } of levels) [low, high] = [Math.min(low, level), Math.max(high, level)]
  if (y.logarithmic === true) return [Math.min(0, low), Math.max(0, high)]
  if (!Number.isFinite(low)) return [0, 1]
  const air = 0.04 * (high - low)
  return [low - (low >= 0 && low - air < 0 ? low : air), high + air]
}

export const lineSvg = (chart: LineChart, layout: LineLayout): string => {
  const frame = lineFrame(chart, layout)
  const names = lineNames(chart)
  const parts = [
    frame.legend,
    axes(chart, frame),
    ...chart.lines.map((line) => lineMarks(line, names.indexOf(line.name), frame, chart.isNoisy ? layout.smoothing : 0)),
    ...chart.levels.map(({ name, y }) => levelMark(y, names.indexOf(name), frame)),
  ]
  return svg(layout.width, frame.height, parts.join(''))
}

const axes = (chart: LineChart, { x, y, left, right, top, bottom }: LineFrame): string =>
  [
    ...legible(y).map(
      (tick) =>
        gridLine(left, y.at(tick), right, y.at(tick)) + text(left - 6, y.at(tick) + 4, tickText(tick), { anchor: 'end', opacity: 0.75 }),
    ),
    gridLine(left, bottom, right, bottom, 0.45),
    ...x.ticks.map((tick) => text(x.at(tick), bottom + 16, tickText(tick), { anchor: anchorAt(x.at(tick), left, right), opacity: 0.75 })),
    titleText(chart.y, left, top - 10, 'start'),
    titleText(chart.x, right, bottom + 32, 'end'),
  ].join('')

/** The ticks whose labels do not cover the label below. */
const legible = ({ ticks, at }: Scale): ReadonlyArray<number> => {
  let below = Infinity
  return ticks.filter((tick) => {
    const isFree = below - at(tick) >= 12
    if (isFree) below = at(tick)
    return isFree
  })
}

/** A label at an edge does not leave the chart. */
const anchorAt = (x: number, left: number, right: number): 'start' | 'middle' | 'end' =>
  x - left < 8 ? 'start' : right - x < 8 ? 'end' : 'middle'

const titleText = ({ title }: Axis, x: number, y: number, anchor: 'start' | 'end'): string =>
  title === '' ? '' : text(x, y, anchor === 'start' ? `↑ ${title}` : `${title} →`, { anchor, opacity: 0.75 })

const lineMarks = ({ points }: Line, i: number, { x, y }: LineFrame, smoothing: number): string => {
  const color = seriesColor(i)
  const dash = seriesDash(i) === '' ? '' : ` stroke-dasharray="${seriesDash(i)}"`
  const raw = points.map(([at, value]) => [x.at(at), y.at(value)] as const)
  const banded = points.filter((point) => point.length === 4)
  const edge = (of: (point: readonly [number, number, number, number]) => number) =>
    banded.map((point) => [x.at(point[0]), y.at(of(point))] as const)
  const band =
    banded.length === 0
      ? ''
      : `<path d="${pathOf([...edge((p) => p[3]), ...edge((p) => p[2]).reverse()])}Z" fill="${color}" fill-opacity="0.14"/>`
  const stroke = (path: string, opacity: string): string =>
    `<path d="${path}" stroke="${color}" stroke-width="1.8" stroke-linejoin="round" stroke-linecap="round"${dash}${opacity}/>`
  const marks =
    points.length > markedPoints || (smoothing > 0 && points.length > 1)
      ? ''
      : raw.map(([cx, cy]) => `<circle cx="${px(cx)}" cy="${px(cy)}" r="2.4" fill="${color}"/>`).join('')
  if (smoothing === 0) return band + stroke(pathOf(raw), '') + marks
  const values = smoothed(
    points.map(([, value]) => value),
    smoothing,
  )
  const line = points.map(([at], k) => [x.at(at), y.at(values[k] ?? NaN)] as const)
  return `${band}${stroke(pathOf(raw), ' stroke-opacity="0.28"')}${stroke(pathOf(line), '')}${marks}`
}

const levelMark = (value: number, i: number, { y, left, right }: LineFrame): string => {
  const dash = seriesDash(i)
  return `<path d="M${px(left)} ${px(y.at(value))}L${px(right)} ${px(y.at(value))}" stroke="${seriesColor(i)}" stroke-width="1.8"${dash === '' ? '' : ` stroke-dasharray="${dash}"`}/>`
}
