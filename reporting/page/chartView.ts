/** A chart in a page: drawn at the width of its place, again when that changes, with the values under the pointer. Report, board and web page use it. */
import { least } from 'd3-array'
import { seriesColor, type Chart, type LineChart } from '../charts/chart.js'
import { drawChart } from '../charts/drawChart.js'
import { lineFrame, lineNames, smoothed } from '../charts/lineSvg.js'

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
      if (chart === shown) return
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
  const { x, top, bottom } = lineFrame(chart, width, plotHeight(width))
  const pointer = clientX - svg.getBoundingClientRect().left
  const positions = chart.lines.flatMap(({ points }) => points.map(([at]) => at))
  const nearest = least(positions, (at) => Math.abs(x.at(at) - pointer))
  if (nearest === undefined) return
  const names = lineNames(chart)
  const rows = chart.lines.flatMap(({ name, points }) => {
    const values = points.slice(0, points.findIndex(([at]) => at === nearest) + 1).map(([, value]) => value)
    const raw = values.at(-1)
    if (raw === undefined) return []
    const value = chart.isNoisy ? (smoothed(values, weight).at(-1) ?? raw) : raw
    const row = document.createElement('span')
    row.style.setProperty('--color', seriesColor(names.indexOf(name)))
    row.textContent = `${names.length > 1 ? `${name} ` : ''}${short(value)}${value === raw ? '' : ` (${short(raw)})`}`
    return [row]
  })
  const left = x.at(nearest)
  showGuide(svg, left, top, bottom)
  const head = document.createElement('b')
  head.textContent = `${chart.x.title} ${short(nearest)}`
  tooltip.replaceChildren(head, ...rows)
  tooltip.hidden = false
  tooltip.style.left = left > width / 2 ? '' : `${left + 12}px`
  tooltip.style.right = left > width / 2 ? `${width - left + 12}px` : ''
}

const showGuide = (svg: SVGSVGElement, x: number, top: number, bottom: number): void => {
  const guide = svg.querySelector('.guide') ?? document.createElementNS('http://www.w3.org/2000/svg', 'path')
  const attributes = { class: 'guide', d: `M${x} ${top}V${bottom}`, stroke: 'currentColor', 'stroke-opacity': '0.4' }
  for (const [name, value] of Object.entries(attributes)) guide.setAttribute(name, value)
  if (guide.parentNode === null) svg.append(guide)
}
