/**
 * The script of a report: draws the charts at the width of the page, and does what its buttons say. Without scripts, readers see the charts as
 * they were written, and can still select and copy the numbers.
 */
import type { Chart } from '../charts/chart.js'
import { listenToButtons, showCharts, smoothingControl } from './charts.js'

const charts = JSON.parse(document.getElementById('charts')?.textContent ?? '{}') as Readonly<Record<string, Chart>>
showCharts(new Map(Object.entries(charts)))
document.getElementById('smoothing')?.append(smoothingControl())
listenToButtons()
