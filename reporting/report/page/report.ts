/**
 * The script of a report: draws the charts at the width of the page, smooths them, copies numbers, and saves charts as SVG or PNG.
 * Without scripts, readers see the charts as they were written, and can still select and copy the numbers.
 */
import type { Chart } from '../../charts/chart.js'
import { chartView, type ChartView } from '../../page/chartView.js'
import { copyFrom, showFeedback } from '../../page/copy.js'
import { defaultSmoothing, smoothingControl } from '../../page/smoothingControl.js'

/** Saved charts are dark on light, whatever the page looks like. */
const [textColor, background] = ['#1b1b1b', '#ffffff']

const save = (name: string, blob: Blob): void => {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

const svgBlob = (svg: SVGSVGElement): Blob => {
  const copy = svg.cloneNode(true) as SVGSVGElement
  copy.querySelector('.guide')?.remove()
  copy.setAttribute('color', textColor)
  return new Blob([new XMLSerializer().serializeToString(copy)], { type: 'image/svg+xml' })
}

/** Two pixels for each pixel of the chart. */
const pngBlob = async (svg: SVGSVGElement): Promise<Blob> => {
  const image = new Image()
  const url = URL.createObjectURL(svgBlob(svg))
  image.src = url
  await image.decode()
  const { width, height } = svg.viewBox.baseVal
  const canvas = document.createElement('canvas')
  ;[canvas.width, canvas.height] = [2 * width, 2 * height]
  const context = canvas.getContext('2d')
  if (context === null) throw new Error('this browser has no 2D canvas')
  context.fillStyle = background
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.drawImage(image, 0, 0, canvas.width, canvas.height)
  URL.revokeObjectURL(url)
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'))
  if (blob === null) throw new Error('this browser cannot write PNG')
  return blob
}

const perform = async (button: HTMLButtonElement): Promise<void> => {
  const { action, target = '' } = button.dataset
  const area = document.getElementById(target)
  const svg = button.closest('figure')?.querySelector('svg') ?? null
  if (action === 'copy' && area instanceof HTMLTextAreaElement) await copyFrom(area, button)
  if (action === 'svg' && svg !== null) save(`${target}.svg`, svgBlob(svg))
  if (action === 'png' && svg !== null) save(`${target}.png`, await pngBlob(svg))
}

const showCharts = (): ReadonlyArray<ChartView> => {
  const charts = JSON.parse(document.getElementById('charts')?.textContent ?? '{}') as Readonly<Record<string, Chart>>
  return [...document.querySelectorAll<HTMLElement>('.chart[data-chart]')].flatMap((place) => {
    const chart = charts[place.dataset['chart'] ?? '']
    if (chart === undefined) return []
    const view = chartView(place, defaultSmoothing)
    view.show(chart)
    return [view]
  })
}

const views = showCharts()
document.getElementById('smoothing')?.append(
  smoothingControl((weight) => {
    for (const view of views) view.smooth(weight)
  }),
)
for (const button of document.querySelectorAll<HTMLButtonElement>('button[data-action]')) button.hidden = false
document.addEventListener('click', (event) => {
  const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>('button[data-action]') : null
  if (button !== null) perform(button).catch(() => showFeedback(button, 'Failed'))
})
