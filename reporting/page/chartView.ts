/** A chart in a page: drawn at the width of its place, again when that changes, with the values under the pointer. The report and the board use it. */
import type { Chart, LineChart } from '../charts/chart.js'
import { seriesColor } from '../charts/chartStyle.js'
import { drawChart } from '../charts/svg/drawChart.js'
import { lineFrame, lineNames } from '../charts/svg/lineSvg.js'
import { smoothed } from '../charts/svg/smoothing.js'

export type ChartView = {
  readonly show: (chart: Chart) => void
  readonly smooth: (weight: number) => void
}

/** Pixels between the axes of a line chart, by the width of its place. */
const plotHeight = (width: number): number => Math.round(Math.min(240, Math.max(130, 0.42 * width)))
/** The least width that a chart is drawn for; narrower places scroll. */
const leastWidth = 220

const parser = new DOMParser()

const svgElement = (text: string): Node => {
  const { documentElement: svg } = parser.parseFromString(text, 'image/svg+xml')
  return svg.localName === 'svg' ? document.importNode(svg, true) : document.createTextNode('This chart could not be drawn.')
}

/** @param place keeps its size when the chart is drawn in it: its width comes from the page */
export const chartView = (place: HTMLElement, smoothing = 0): ChartView => {
  let [shown, weight, drawnAt]: [Chart | null, number, number] = [null, smoothing, 0]
  const tooltip = document.createElement('div')
  tooltip.className = 'tooltip'
  tooltip.hidden = true
  const widthNow = (): number => Math.max(leastWidth, Math.floor(place.clientWidth))
  const draw = (): void => {
    if (shown === null || place.clientWidth === 0) return
    drawnAt = widthNow()
    place.replaceChildren(svgElement(drawChart(shown, { width: drawnAt, plotHeight: plotHeight(drawnAt), smoothing: weight })), tooltip)
  }
  new ResizeObserver(() => {
    if (widthNow() !== drawnAt) requestAnimationFrame(draw)
  }).observe(place)
  place.addEventListener('pointermove', ({ clientX }) => {
    if (shown?.kind === 'line') showValues(shown, place, tooltip, clientX, drawnAt, weight)
  })
  place.addEventListener('pointerleave', () => {
    tooltip.hidden = true
    place.querySelector('.guide')?.remove()
  })
  return {
    show: (chart) => {
      shown = chart
      draw()
    },
    smooth: (next) => {
      if (weight === next) return
      weight = next
      if (shown?.kind === 'line' && shown.isNoisy) draw()
    },
  }
}

const short = (value: number): string => String(Number(value.toPrecision(4)))

/** A vertical guide at the nearest position of any line, and the values there. */
const showValues = (chart: LineChart, place: HTMLElement, tooltip: HTMLElement, clientX: number, width: number, weight: number): void => {
  const svg = place.querySelector('svg')
  if (svg === null) return
  const frame = lineFrame(chart, { width, height: plotHeight(width) })
  const x = clientX - svg.getBoundingClientRect().left
  const positions = chart.lines.flatMap(({ points }) => points.map(([at]) => at))
  const [first] = positions
  if (first === undefined) return
  const distance = (at: number): number => Math.abs(frame.x.at(at) - x)
  const nearest = positions.reduce((best, at) => (distance(at) < distance(best) ? at : best), first)
  const names = lineNames(chart)
  const rows = chart.lines.flatMap(({ name, points }) => {
    const i = points.findIndex(([at]) => at === nearest)
    const raw = points[i]?.[1]
    if (raw === undefined) return []
    const value =
      chart.isNoisy && weight > 0
        ? (smoothed(
            points.slice(0, i + 1).map(([, y]) => y),
            weight,
          ).at(-1) ?? raw)
        : raw
    return [{ name, value, raw, color: seriesColor(names.indexOf(name)) }]
  })
  showGuide(svg, frame.x.at(nearest), frame.top, frame.bottom)
  const head = document.createElement('b')
  head.textContent = `${chart.x.title} ${short(nearest)}`
  tooltip.replaceChildren(
    head,
    ...rows.map(({ name, value, raw, color }) => {
      const row = document.createElement('span')
      row.style.setProperty('--color', color)
      row.textContent = `${names.length > 1 ? `${name} ` : ''}${short(value)}${value === raw ? '' : ` (${short(raw)})`}`
      return row
    }),
  )
  tooltip.hidden = false
  const left = frame.x.at(nearest)
  tooltip.style.left = left > width / 2 ? '' : `${left + 12}px`
  tooltip.style.right = left > width / 2 ? `${width - left + 12}px` : ''
}

const showGuide = (svg: SVGSVGElement, x: number, top: number, bottom: number): void => {
  const guide = svg.querySelector('.guide') ?? document.createElementNS('http://www.w3.org/2000/svg', 'path')
  guide.setAttribute('class', 'guide')
  guide.setAttribute('d', `M${x} ${top}V${bottom}`)
  guide.setAttribute('stroke', 'currentColor')
  guide.setAttribute('stroke-opacity', '0.4')
  if (guide.parentNode === null) svg.append(guide)
}
