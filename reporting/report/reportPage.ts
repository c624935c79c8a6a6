/** The page of collected runs: their tables, curves and figures as one HTML text. It reads the runs' files from any storage. */
import { textSha256 } from '../../accelerated/storage/native.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { readDetails } from '../../finetuning/run/evaluationDetails.js'
import { drawChart } from '../charts/drawChart.js'
import type { PlottedFigure, PlottedSeries } from '../figures/figure.js'
import { confusionFigure, type EvaluatedRun } from '../figures/heatMaps.js'
import { isDiagnostic, plotFigures } from '../figures/index.js'
import type { Collected, FinishedRun } from '../runs/collectRuns.js'
import { readRunCurves, type RunCurves } from '../runs/runCurves.js'
import { bucketWidth } from '../runs/downSample.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { bestRun, bestSeries, savedStep } from '../runs/scores.js'
import { groupSeries, type Series } from '../runs/series.js'
import { escapeText, html, type Html } from '../text/html.js'
import { plural } from '../text/units.js'
import { buildOverview, type Overview } from './overview.js'
import { figureSection, numberList, tableSection, type ReportTable } from './sections.js'
import { buildTables } from './reportTables.js'
import type { SampledRun } from './evaluationTables.js'
import type { CurvesByRun } from './runTables.js'

/** Maximum number of points of one figure, and maximum and minimum of one series: pages stay fast, and finer curves look the same. */
const [figurePoints, maxSeriesPoints, minSeriesPoints] = [2400, 240, 8]

/** The built script of the report, and the style that report and board share. */
export type PageFiles = { readonly script: string; readonly style: string }

export type PageOptions = {
  /** of the page */
  readonly name: string
  /** the version of salora that writes it */
  readonly version: string
  readonly files: PageFiles
  /** holds the folders of the runs (default: the disk) */
  readonly storage?: Storage
  /** called with the number of runs whose curves were read */
  readonly onProgress?: (runs: number) => void
}

export type ReportPage = {
  readonly html: string
  readonly series: readonly Series[]
  readonly tables: readonly ReportTable[]
  readonly figures: readonly PlottedFigure[]
  /** one line for each run, sweep or style transfer that is not in the page, and for each part that could not be read */
  readonly skipped: readonly string[]
  /** figures that failed */
  readonly warnings: readonly string[]
}

export const reportPage = async (collected: Collected, options: PageOptions): Promise<ReportPage> => {
  const { name, version, files, storage = nodeFiles, onProgress = () => undefined } = options
  const series = groupSeries(collected.runs)
  const { plotted, sampled, unreadable, curves } = await readCurves(series, storage, onProgress)
  const { evaluated, invalid } = await readEvaluations(series, storage)
  const skipped = [...collected.skipped, ...unreadable, ...invalid]
  const { plotted: all, failed: warnings } = plotFigures(plotted)
  const figures = inOrder(all, confusionFigure(evaluated))
  const { comparisons, details } = buildTables(collected, series, evaluated, sampled, curves)
  const overview = buildOverview(collected.runs, series, name)
  const tasks = new Set(series.map(({ task }) => task)).size
  const summary = `${plural(collected.runs.length, 'run')}, ${series.length} series, ${plural(tasks, 'task')}. Written by salora ${version}. This file is complete and loads nothing.`
  const page = pageHtml({ name, overview, summary, warnings, skipped: skipped.map(escapeText), comparisons, figures, details }, files)
  return { html: page.html, series, tables: [...comparisons, ...details], figures, skipped, warnings }
}

/** A run without readable metrics stays in the tables, but has no curve. */
const readCurves = async (
  series: readonly Series[],
  storage: Storage,
  onProgress: (runs: number) => void,
): Promise<{
  readonly plotted: readonly PlottedSeries[]
  /** the best run of each task: the samples of all could be too many */
  readonly sampled: readonly SampledRun[]
  readonly unreadable: readonly string[]
  readonly curves: CurvesByRun
}> => {
  const best = new Set(bestSeries(series).map((one) => bestRun(one)))
  const points = Math.max(minSeriesPoints, Math.min(maxSeriesPoints, Math.floor(figurePoints / Math.max(1, series.length))))
  const [plotted, sampled, unreadable]: [PlottedSeries[], SampledRun[], string[]] = [[], [], []]
  const byRun = new Map<FinishedRun, RunCurves>()
  let read = 0
  for (const one of series) {
    const width = bucketWidth(Math.max(...one.runs.map(lastStep)), points)
    const curves: RunCurves[] = []
    for (const run of one.runs) {
      const [ofRun, message] = await resultOrMessage(() => readRunCurves(run.folder, lastStep(run), width, storage))
      if (ofRun === null) unreadable.push(message)
      else {
        curves.push(ofRun)
        byRun.set(run, ofRun)
        if (best.has(run)) sampled.push({ task: one.task, name: run.name, samples: ofRun.samples })
      }
      onProgress(++read)
    }
    plotted.push({ ...one, curves, width })
  }
  return { plotted, sampled, unreadable, curves: byRun }
}

const lastStep = ({ result: { steps, last } }: FinishedRun): number => Math.max(steps, last.step)

/** The score, the ranks and the confusion matrix are before the other curves. @param confusion null: there is none */
export const inOrder = (plotted: readonly PlottedFigure[], confusion: PlottedFigure | null): readonly PlottedFigure[] => {
  const first = plotted.filter(({ name }) => ['score', 'figure7-ranks', 'ranks'].includes(name))
  return [...first, ...(confusion === null ? [] : [confusion]), ...plotted.filter((figure) => !first.includes(figure))]
}

/** The evaluation of the best run of each task, if it is of the checkpoint that the run kept. */
const readEvaluations = async (
  series: readonly Series[],
  storage: Storage,
): Promise<{ readonly evaluated: readonly EvaluatedRun[]; readonly invalid: readonly string[] }> => {
  const [evaluated, invalid]: [EvaluatedRun[], string[]] = [[], []]
  for (const best of bestSeries(series)) {
    const run = bestRun(best)
    if (run === null) continue
    const [details, message] = await resultOrMessage(() => readDetails(run.folder, storage))
    if (message !== null) invalid.push(message)
    if (details !== null && details.step === savedStep(run.result)) evaluated.push({ task: best.task, name: run.name, details })
  }
  return { evaluated, invalid }
}

type Page = {
  readonly name: string
  readonly overview: Overview
  /** one paragraph about the file */
  readonly summary: string
  readonly warnings: readonly string[]
  readonly skipped: readonly string[]
  /** the tables above the figures */
  readonly comparisons: readonly ReportTable[]
  readonly figures: readonly PlottedFigure[]
  /** the tables below the figures */
  readonly details: readonly ReportTable[]
}

/** It opens from a file, loads nothing, runs no script but its own, and shows whatever a folder contains as text. */
const pageHtml = (
  { name, overview, summary, warnings, skipped, comparisons, figures, details }: Page,
  { script, style }: PageFiles,
): Html => {
  const { heading, verdict, lead, numbers } = overview
  const hasNoise = figures.some(({ panels }) => panels.some(({ chart }) => chart.kind === 'line' && chart.isNoisy))
  const diagnostics = figures.filter(({ name }) => isDiagnostic(name))
  const results = figures.filter((figure) => !diagnostics.includes(figure))
  const options = { heading, draw: ({ chart }: PlottedFigure['panels'][number]) => drawChart(chart), hasNumbers: true }
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${buildPolicy(script)}">
<meta name="referrer" content="no-referrer">
<title>salora: ${name}</title><link rel="icon" href="data:,"><style>${{ html: style }}</style></head>
<body class="report">
<header><p class="eyebrow">salora report</p>
<h1>${heading}</h1>
${verdict === null ? null : html`<p class="verdict">${verdict}</p>`}<p class="lead">${lead}</p>
${numberList(numbers)}${warnings.map((line) => html`<p class="warning">${line}</p>`)}${skippedDetails(skipped)}</header>
<main>
${comparisons.map(tableSection)}${hasNoise ? html`<div id="smoothing"></div>` : null}
<div class="figures">${results.map((figure) => figureSection(figure, options))}</div>
${
  diagnostics.length === 0
    ? null
    : html`<details class="diagnostics"><summary>Diagnostics: ${plural(diagnostics.length, 'figure')}</summary>
<div class="figures">${diagnostics.map((figure) => figureSection(figure, options))}</div></details>`
}
${details.map(tableSection)}</main>
<footer><p>${summary}</p></footer>
<script type="application/json" id="charts">${{ html: chartData(figures) }}</script>
<script>${{ html: script }}</script>
</body></html>
`
}

/** Allows the page's own script, and nothing from elsewhere. */
const buildPolicy = (script: string): string =>
  [
    ...["default-src 'none'", "style-src 'unsafe-inline'", `script-src 'sha256-${Buffer.from(textSha256(script)).toString('base64')}'`],
    ...['img-src blob: data:', "base-uri 'none'", "form-action 'none'"],
  ].join('; ')

const skippedDetails = (skipped: readonly string[]): Html | null =>
  skipped.length === 0
    ? null
    : html`<details><summary>${skipped.length} skipped</summary><ul>${skipped.map((line) => html`<li>${line}</li>`)}</ul></details>`

/** The charts by name, which the page draws at its own width: JSON in which nothing can end the element. */
const chartData = (figures: readonly PlottedFigure[]): string => {
  const charts = Object.fromEntries(figures.flatMap(({ panels }) => panels.map(({ name, chart }) => [name, chart] as const)))
  const short = (_: string, value: unknown): unknown =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value
  return JSON.stringify(charts, short).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}
