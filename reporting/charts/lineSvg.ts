/** Draws line charts, with scales and paths of d3. The value axis is titled above the plot, and the raw line of a smoothed one stays visible. */
import { range } from 'd3-array'
import { scaleLinear, scaleLog, scaleSymlog } from 'd3-scale'
import { area, line } from 'd3-shape'
import type { Axis, Line, LineChart, LinePoint } from './chart.js'
import { seriesColor } from './chart.js'
import { gridLine, legend, px, stroke, swatch, svg, text, textWidth } from './svg.js'

/** With at most this many points a line, each point has a mark. */
const markedPoints = 30

/** The position of a value in pixels, and the ticks of its axis. */
type Scale = { readonly at: (value: number) => number; readonly ticks: readonly number[] }
type Ends = readonly [from: number, to: number]

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
  /** whether the lines are named at their ends, and need no legend */
  readonly namesEnds: boolean
}

export const lineNames = ({ lines, levels }: LineChart): readonly string[] => [
  ...new Set([...lines.map(({ name }) => name), ...levels.map(({ name }) => name)]),
]

/** @param height of the plot, in pixels as `width` */
export const lineFrame = (chart: LineChart, width: number, height: number): LineFrame => {
  const namesEnds = fitAtEnds(chart, width)
  const drawn = legend(namesEnds ? [] : lineNames(chart), width)
  const top = drawn.height + (chart.y.title === '' ? 10 : 24)
  const bottom = top + height
  const y = valueScale(chart, [bottom, top])
  const left = Math.max(24, ...y.ticks.map((tick) => textWidth(tickText(tick, chart.y)) + 10))
  const right = width - 10 - (namesEnds ? swatch + endGap + widestName(chart) : 0)
  const x = positionScale(chart, [left, right])
  return { x, y, left, right, top, bottom, height: bottom + (chart.x.title === '' ? 22 : 38), legend: drawn.content, namesEnds }
}

/** Pixels between a line's end, its swatch and its name. */
const endGap = 5

const widestName = ({ lines }: LineChart): number => Math.max(...lines.map(({ name }) => textWidth(name)))

/** Two to five lines have their names at their ends, where the eye is, if these leave two thirds of the width to the plot. */
const fitAtEnds = (chart: LineChart, width: number): boolean =>
  chart.lines.length >= 2 && chart.lines.length <= 5 && chart.levels.length === 0 && widestName(chart) <= width / 3

const positionScale = ({ x, lines }: LineChart, ends: Ends): Scale => {
  const positions = lines.flatMap(({ points }) => points.map(([at]) => at))
  const last = Math.max(x.to ?? -Infinity, ...positions)
  const domain: Ends = positions.length === 0 ? [0, 1] : [x.to === undefined ? Math.min(...positions) : 0, last]
  if (x.values !== undefined) return { at: scaleLog(domain, ends).base(2), ticks: x.values }
  const { at, ticks } = linearScale(domain, ends, Math.max(2, (ends[1] - ends[0]) / 90))
  return { at, ticks: x.title === 'step' ? ticks.filter(Number.isInteger) : ticks } // no step is a half
}

const valueScale = (chart: LineChart, ends: Ends): Scale => {
  const domain = valueDomain(chart)
  if (chart.y.logarithmic === true) return { at: scaleSymlog(domain, ends), ticks: powersOfTen(domain) }
  return linearScale(domain, ends, 5)
}

/** Values that hardly differ are one value in the middle: the labels of their ticks would be the same. @param count of the ticks, about */
const linearScale = ([low, high]: Ends, ends: Ends, count: number): Scale => {
  const isFlat = high - low <= 1e-9 * Math.max(Math.abs(low), Math.abs(high))
  const at = scaleLinear([low, isFlat ? low : high], ends)
  return { at, ticks: at.ticks(count) }
}

/** From the lowest to the highest value with bands and levels, and a little air: a curve does not touch the frame. */
const valueDomain = ({ lines, levels, references = [], y }: LineChart): Ends => {
  let [low, high] = [Infinity, -Infinity]
  for (const { points } of lines)
    for (const [, value, from = value, to = value] of points) [low, high] = [Math.min(low, from), Math.max(high, to)]
  for (const { y: level } of [...levels, ...references]) [low, high] = [Math.min(low, level), Math.max(high, level)]
  if (y.logarithmic === true) return [Math.min(0, low), Math.max(0, high)]
  if (!Number.isFinite(low)) return [0, 1]
  const air = 0.04 * (high - low)
  return [low - (low >= 0 && low - air < 0 ? low : air), high + air]
}

/** Zero and powers of ten, at most five on each side: d3's symmetric scale has the ticks of a linear one. */
const powersOfTen = ([low, high]: Ends): readonly number[] => {
  const upTo = (end: number): readonly number[] => {
    const count = Math.floor(Math.log10(Math.max(end, 0.1))) + 1
    return range(0, count, Math.ceil(count / 5)).map((power) => 10 ** power)
  }
  return [
    ...upTo(-low)
      .map((power) => -power)
      .reverse(),
    0,
    ...upTo(high),
  ]
}

/** 1000 → 1k, 0.00025 → 2.5e-4, and 0.68 stays, or is 68 % of an axis of shares. */
const tickText = (value: number, { isShare = false }: Axis): string => {
  if (isShare) return `${Number((100 * value).toPrecision(6))} %`
  const size = Math.abs(value)
  const short = (scaled: number, unit: string): string => `${Number(scaled.toPrecision(4))}${unit}`
  if (size >= 1e12) return short(value, '')
  if (size >= 1e9) return short(value / 1e9, 'G')
  if (size >= 1e6) return short(value / 1e6, 'M')
  if (size >= 1e3) return short(value / 1e3, 'k')
  return size > 0 && size < 1e-3 ? Number(value.toPrecision(3)).toExponential() : short(value, '')
}

/** @param smoothing weight of the past in the moving average of a noisy line */
export const lineSvg = (chart: LineChart, width: number, height: number, smoothing: number): string => {
  const frame = lineFrame(chart, width, height)
  const names = lineNames(chart)
  const { x, y, left, right } = frame
  const weight = chart.isNoisy ? smoothing : 0
  const parts = [
    frame.legend,
    axes(chart, frame),
    ...chart.lines.map((one) => lineMarks(one, names.indexOf(one.name), frame, weight)),
    ...chart.levels.map(
      (one) => `<path d="M${px(left)},${px(y.at(one.y))}H${px(right)}" stroke-width="1.8" ${stroke(names.indexOf(one.name))}/>`,
    ),
    ...(chart.references ?? []).map(
      (one) =>
        `<path d="M${px(left)},${px(y.at(one.y))}H${px(right)}" stroke="currentColor" stroke-opacity="0.6" stroke-dasharray="5 4"/>` +
        text(right, y.at(one.y) - 5, one.name, { anchor: 'end', opacity: 0.75 }),
    ),
    ...(chart.marks ?? []).map(
      (one) =>
        `<circle cx="${px(x.at(one.x))}" cy="${px(y.at(one.y))}" r="5.5" fill="${seriesColor(names.indexOf(one.line))}" stroke="currentColor" stroke-width="1.5"/>`,
    ),
    frame.namesEnds ? endNames(chart, names, frame, weight) : '',
  ]
  return svg(width, frame.height, parts.join(''))
}

const axes = (chart: LineChart, { x, y, left, right, top, bottom }: LineFrame): string =>
  [
    ...legible(y).map(
      (tick) =>
        gridLine(left, right, y.at(tick)) + text(left - 6, y.at(tick) + 4, tickText(tick, chart.y), { anchor: 'end', opacity: 0.75 }),
    ),
    gridLine(left, right, bottom, 0.45),
    ...x.ticks.map((tick) =>
      text(x.at(tick), bottom + 16, tickText(tick, chart.x), { anchor: chooseAnchor(x.at(tick), left, right), opacity: 0.75 }),
    ),
    chart.y.title === '' ? '' : text(left, top - 10, `↑ ${chart.y.title}`, { opacity: 0.75 }),
    chart.x.title === '' ? '' : text(right, bottom + 32, `${chart.x.title} →`, { anchor: 'end', opacity: 0.75 }),
  ].join('')

/** Each line's name at the height of its end, from the top, and below the name before it where two ends are close. */
const endNames = ({ lines }: LineChart, names: readonly string[], { y, right, top, bottom }: LineFrame, weight: number): string => {
  const ends = lines
    .map(({ name, points }) => ({
      name,
      height: y.at(
        smoothed(
          points.map(([, value]) => value),
          weight,
        ).at(-1) ?? NaN,
      ),
    }))
    .filter(({ height }) => Number.isFinite(height))
    .sort((a, b) => a.height - b.height)
  const lineHeight = 14
  let next = top
  return ends
    .map(({ name, height }, i) => {
      const middle = Math.max(next, Math.min(height, bottom - lineHeight * (ends.length - 1 - i)))
      next = middle + lineHeight
      const swatchPath = `<path d="M${px(right + endGap)},${px(middle)}h${swatch - endGap}" stroke-width="2.5" ${stroke(names.indexOf(name))}/>`
      return swatchPath + text(right + swatch + endGap, middle + 4, name)
    })
    .join('')
}

/** The ticks whose labels do not cover the label below. */
const legible = ({ ticks, at }: Scale): readonly number[] => {
  let below = Infinity
  return ticks.filter((tick) => {
    const isFree = below - at(tick) >= 12
    if (isFree) below = at(tick)
    return isFree
  })
}

/** A label at an edge does not leave the chart. */
const chooseAnchor = (x: number, left: number, right: number): 'start' | 'middle' | 'end' =>
  x - left < 8 ? 'start' : right - x < 8 ? 'end' : 'middle'

const lineMarks = ({ points }: Line, i: number, { x, y }: LineFrame, smoothing: number): string => {
  const path = (values: readonly number[]): string =>
    line<LinePoint>(
      ([at]) => x.at(at),
      (_, k) => y.at(values[k] ?? NaN),
    ).digits(1)(points) ?? ''
  const drawn = (values: readonly number[], faint = ''): string =>
    `<path d="${path(values)}" stroke-width="1.8" stroke-linejoin="round" stroke-linecap="round" ${stroke(i)}${faint}/>`
  const raw = points.map(([, value]) => value)
  const banded = points.flatMap((point) => (point.length === 4 ? [point] : []))
  const band = area<(typeof banded)[number]>(
    ([at]) => x.at(at),
    ([, , low]) => y.at(low),
    ([, , , high]) => y.at(high),
  ).digits(1)(banded)
  const isMarked = points.length <= markedPoints && (smoothing === 0 || points.length < 2)
  return [
    band === null ? '' : `<path d="${band}" fill="${seriesColor(i)}" fill-opacity="0.14"/>`,
    ...(smoothing === 0 ? [drawn(raw)] : [drawn(raw, ' stroke-opacity="0.28"'), drawn(smoothed(raw, smoothing))]),
    ...(isMarked
      ? points.map(([at, value]) => `<circle cx="${px(x.at(at))}" cy="${px(y.at(value))}" r="2.4" fill="${seriesColor(i)}"/>`)
      : []),
  ].join('')
}

/**
 * Smooths a noisy line, as TensorBoard does: sₜ = w sₜ₋₁ + (1 − w) yₜ, divided by 1 − wᵗ, without the bias of its start.
 * @param weight of the past: 0 leaves the values as they are; below 1
 */
export const smoothed = (values: readonly number[], weight: number): readonly number[] => {
  let [sum, share] = [0, 0]
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value
    share = weight * share + (1 - weight)
    return sum / share
  })
}
