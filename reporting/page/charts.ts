/** What a reader does with charts and tables, on the report and on the board: smooth them, copy their numbers, and save them as SVG or PNG. */
import type { Chart } from '../charts/chart.js'
import { chartView, type ChartView } from './chartView.js'

/** The weight of the past at first, as in TensorBoard. A weight of 1 would draw a constant. */
const [defaultSmoothing, largest] = [0.6, 0.98]
let smoothing = defaultSmoothing

const views = new Map<HTMLElement, ChartView>()

/** Draws the charts of the page by their names, and forgets those that have left it. */
export const showCharts = (charts: ReadonlyMap<string, Chart>): void => {
  for (const place of views.keys()) if (!place.isConnected) views.delete(place)
  for (const place of document.querySelectorAll<HTMLElement>('.chart[data-chart]')) {
    const chart = charts.get(place.dataset['chart'] ?? '')
    const view = views.get(place) ?? chartView(place, smoothing)
    views.set(place, view)
    view.smooth(smoothing)
    if (chart !== undefined) view.show(chart)
  }
}

/** A slider for the smoothing of noisy curves. The raw curves stay visible, faint. */
export const smoothingControl = (): HTMLElement => {
  const slider = document.createElement('input')
  Object.assign(slider, { type: 'range', min: '0', max: String(largest), step: '0.02', value: String(smoothing) })
  const value = document.createElement('output')
  value.textContent = smoothing.toFixed(2)
  slider.addEventListener('input', () => {
    smoothing = Number(slider.value)
    value.textContent = smoothing.toFixed(2)
    for (const view of views.values()) view.smooth(smoothing)
  })
  const label = document.createElement('label')
  label.className = 'smoothing'
  label.title = 'Weight of the past in the moving average of noisy curves; 0 shows them as they are'
  label.append('Smoothing', slider, value)
  return label
}

/** Copies and saves at the buttons of the page. */
export const listenToButtons = (): void => {
  document.documentElement.classList.add('scripted')
  document.addEventListener('click', ({ target }) => {
    const button = target instanceof Element ? target.closest<HTMLButtonElement>('button[data-target]') : null
    if (button !== null) perform(button).catch(() => showFeedback(button, 'Failed'))
  })
}

const perform = async (button: HTMLButtonElement): Promise<void> => {
  const { action, target = '' } = button.dataset
  const area = document.getElementById(target)
  const svg = button.closest('figure')?.querySelector('svg') ?? null
  if (action === 'copy' && area instanceof HTMLTextAreaElement)
    showFeedback(button, (await copy(area)) ? 'Copied' : 'Selected: press Ctrl+C')
  if (action === 'svg' && svg !== null) saveFile(`${target}.svg`, svgBlob(svg))
  if (action === 'png' && svg !== null) saveFile(`${target}.png`, await pngBlob(svg))
}

/** Shows `text` on the button for two seconds. */
const showFeedback = (button: HTMLButtonElement, text: string): void => {
  const label = button.dataset['label'] ?? button.textContent ?? ''
  button.dataset['label'] = label
  button.textContent = text
  setTimeout(() => {
    button.textContent = label
  }, 2000)
}

/** To the clipboard. Without one, the numbers are selected for Ctrl+C. */
const copy = async (area: HTMLTextAreaElement): Promise<boolean> => {
  try {
    await navigator.clipboard.writeText(area.value)
    return true
  } catch {
    const details = area.closest('details')
    if (details !== null) details.open = true
    area.focus()
    area.select()
    return document.execCommand('copy') // deprecated, and the only way on a page without a secure context
  }
}

/** Saves a file by the browser's download. */
export const saveFile = (name: string, blob: Blob): void => {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** Dark on light, whatever the page looks like. */
const svgBlob = (svg: SVGSVGElement): Blob => {
  const alone = svg.cloneNode(true) as SVGSVGElement
  alone.querySelector('.guide')?.remove()
  alone.setAttribute('color', '#1b1b1b')
  return new Blob([new XMLSerializer().serializeToString(alone)], { type: 'image/svg+xml' })
}

/** Two pixels for each pixel of the chart. */
const pngBlob = async (svg: SVGSVGElement): Promise<Blob> => {
  const image = new Image()
  image.src = `data:image/svg+xml,${encodeURIComponent(await svgBlob(svg).text())}` // the board's policy allows data:, not blob:
  await image.decode()
  const { width, height } = svg.viewBox.baseVal
  const canvas = document.createElement('canvas')
  ;[canvas.width, canvas.height] = [2 * width, 2 * height]
  const context = canvas.getContext('2d')
  if (context === null) throw new Error('this browser has no 2D canvas')
  context.fillStyle = '#ffffff'
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.drawImage(image, 0, 0, canvas.width, canvas.height)
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'))
  if (blob === null) throw new Error('this browser cannot write PNG')
  return blob
}
