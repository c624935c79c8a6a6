/** Draws interval charts: rows of points with their intervals, and a dashed line at the reference. */
import { seriesColor } from '../chartStyle.js'
import type { IntervalChart } from '../chart.js'
import { gridLine, legend, px, svg, text, textWidth } from './marks.js'
import { linearScale, tickText } from './scales.js'

const [rowHeight, maxLabel] = [26, 320]

export const intervalSvg = ({ points, title, reference }: IntervalChart, width: number): string => {
  const rows = [...new Set(points.map(({ row }) => row))]
  const names = [...new Set(points.map(({ series = '' }) => series))]
  const isSingle = names.length === 1
  const bandHeight = rowHeight * (isSingle ? 1 : 0.7 * names.length)
  const left = Math.min(maxLabel, 0.55 * width, Math.max(...rows.map((row) => textWidth(row)))) + 12
  const entries = isSingle ? [] : names.map((name, i) => ({ name, color: seriesColor(i), dash: '' }))
  const drawn = legend(entries, 0, width)
  const top = drawn.height + 8
  const bottom = top + bandHeight * rows.length
  const values = points.flatMap(({ value, low = value, high = value }) => [low, high])
  const [low, high] = [Math.min(reference, ...values), Math.max(reference, ...values)]
  const air = 0.03 * (high - low)
  const x = linearScale([low - air, high + air], [left, width - 10], 5)
  const marks = points.map(({ row, series = '', value, low: from, high: to }) => {
    const i = names.indexOf(series)
    const y = top + bandHeight * (rows.indexOf(row) + (i + 0.5) / names.length)
    const color = seriesColor(i)
    const interval =
      from === undefined || to === undefined
        ? ''
        : `<path d="M${px(x.at(from))} ${px(y)}L${px(x.at(to))} ${px(y)}" stroke="${color}" stroke-width="2"/>`
    return `${interval}<circle cx="${px(x.at(value))}" cy="${px(y)}" r="4.2" fill="${color}"/>`
  })
  const content = [
    drawn.content,
    ...x.ticks.map(
      (tick) =>
        gridLine(x.at(tick), top, x.at(tick), bottom) + text(x.at(tick), bottom + 16, tickText(tick), { anchor: 'middle', opacity: 0.75 }),
    ),
    gridLine(left, bottom, width - 10, bottom, 0.45),
    `<path d="M${px(x.at(reference))} ${px(top)}V${px(bottom)}" stroke="currentColor" stroke-opacity="0.6" stroke-dasharray="4 3"/>`,
    ...rows.map((row, i) => text(left - 10, top + bandHeight * (i + 0.5) + 4, row, { anchor: 'end' })),
    ...marks,
    text(width - 10, bottom + 34, title, { anchor: 'end', opacity: 0.75 }),
  ]
  return svg(width, bottom + 42, content.join(''))
}
