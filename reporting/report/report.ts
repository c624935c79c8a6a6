/**
 * Writes a report: collects finished runs, reads their curves, draws the figures, and writes one HTML page.
 *
 * This folder makes the page. Charts belong in charts/, and the live page in board/.
 */
import { basename, join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import { versions } from '../../finetuning/runs/versions.js'
import { readDetails } from '../../finetuning/runs/evaluationDetails.js'
import { bestRun, bestSeries } from '../charts/bestRun.js'
import { confusionFigure, type EvaluatedRun } from '../charts/confusion.js'
import { bucketWidth } from '../charts/downSample.js'
import { loadPngRenderer, svgFile } from '../charts/drawing.js'
import { escapeText } from '../charts/escapeText.js'
import type { PlottedSeries } from '../charts/figure.js'
import { plotFigures, type PlottedFigure } from '../charts/figures/plotFigures.js'
import { plural } from '../charts/formatNumber.js'
import { readRunCurves, type RunCurves } from '../charts/runCurves.js'
import { keptStep } from '../charts/savedScore.js'
import { seriesOf, type Series } from '../charts/series.js'
import { drawChart } from '../charts/svg/drawChart.js'
import { collectRuns, type FinishedRun } from '../discovery/collectRuns.js'
import { readPageFiles } from '../pageFiles.js'
import { resultOrMessage } from '../resultOrMessage.js'
import type { PageFigure } from './figureHtml.js'
import { overviewOf } from './overview.js'
import { pageHtml } from './pageHtml.js'
import { tablesOf } from './tables/index.js'
import type { SampledRun } from './tables/samples.js'

export type ReportOptions = {
  /** runs, sweeps, style transfers, or folders of these */
  readonly folders: ReadonlyArray<string>
  /** file of the page */
  readonly output: string
  /** folder for each chart as SVG and PNG; null: charts are in the page only */
  readonly figures: string | null
}

export type ReportEvent =
  | { readonly kind: 'collected'; readonly runs: number }
  /** the curves of `runs` runs were read */
  | { readonly kind: 'read'; readonly runs: number }
  | { readonly kind: 'skipped'; readonly message: string }
  | { readonly kind: 'warning'; readonly message: string }

export type ReportResult = {
  readonly output: string
  readonly runs: number
  readonly series: number
  readonly tables: ReadonlyArray<{ readonly name: string; readonly title: string; readonly rows: number }>
  /** figures with charts */
  readonly figures: ReadonlyArray<{ readonly name: string; readonly title: string; readonly panels: ReadonlyArray<string> }>
  /** files of charts */
  readonly files: ReadonlyArray<string>
  /** one line for each skipped run, sweep or style transfer */
  readonly skipped: ReadonlyArray<string>
  /** why there are no PNG files, and figures that failed */
  readonly warnings: ReadonlyArray<string>
}

/** Maximum number of points of one figure, and maximum and minimum of one series: pages stay fast, and finer curves look the same. */
const [figurePoints, maxSeriesPoints, minSeriesPoints] = [2400, 240, 8]

/**
 * Writes the page atomically.
 * @throws InputError if no run is finished, a folder cannot be read, or a file cannot be written
 */
export const makeReport = async (options: ReportOptions, emit: (event: ReportEvent) => void = () => undefined): Promise<ReportResult> => {
  const collected = await collectRuns(options.folders)
  emit({ kind: 'collected', runs: collected.runs.length })
  const series = seriesOf(collected.runs)
  const { plotted, sampled, unreadable } = await readCurves(series, (runs) => emit({ kind: 'read', runs }))
  const { evaluated, invalid } = await readEvaluations(series)
  const skipped = [...collected.skipped, ...unreadable, ...invalid]
  for (const message of skipped) emit({ kind: 'skipped', message })
  const warnings: string[] = []
  const warn = (message: string | null): void => {
    if (message === null) return
    warnings.push(message)
    emit({ kind: 'warning', message })
  }
  const { plotted: all, failed } = plotFigures(plotted)
  failed.forEach(warn)
  const drawn = inOrder(all, evaluated)
  const { comparisons, details } = tablesOf(collected, series, evaluated, sampled)
  const name = nameOf(options)
  const overview = overviewOf(collected.runs, series, name)
  const summary = summaryOf(collected.runs, series)
  const texts = { title: `salora: ${name}`, overview, summary, warnings, skipped: skipped.map(escapeText) }
  const page = { ...texts, tables: comparisons, figures: drawn, details }
  const html = pageHtml(page, await readPageFiles('report'))
  const files = options.figures === null ? [] : await writeCharts(options.figures, drawn, warn)
  await writeFileAtomically(options.output, html)
  return {
    output: options.output,
    runs: collected.runs.length,
    series: series.length,
    tables: [...comparisons, ...details].map(({ name, title, table }) => ({ name, title, rows: table.rows.length })),
    figures: drawn
      .filter(({ panels }) => panels.length > 0)
      .map(({ name, title, panels }) => ({ name, title, panels: panels.map((panel) => panel.name) })),
    files,
    skipped,
    warnings,
  }
}

/** A run without readable metrics stays in the tables, but has no curve. */
const readCurves = async (
  series: ReadonlyArray<Series>,
  onProgress: (runs: number) => void,
): Promise<{
  readonly plotted: ReadonlyArray<PlottedSeries>
  /** the best run of each task: the samples of all could be too many */
  readonly sampled: ReadonlyArray<SampledRun>
  readonly unreadable: ReadonlyArray<string>
}> => {
  const best = new Set(bestSeries(series).map((one) => bestRun(one)))
  const points = Math.max(minSeriesPoints, Math.min(maxSeriesPoints, Math.floor(figurePoints / Math.max(1, series.length))))
  const [plotted, sampled, unreadable]: [PlottedSeries[], SampledRun[], string[]] = [[], [], []]
  let read = 0
  for (const one of series) {
    const width = bucketWidth(Math.max(...one.runs.map(lastStep)), points)
    const curves: RunCurves[] = []
    for (const run of one.runs) {
      const [ofRun, message] = await resultOrMessage(() => readRunCurves(run.folder, lastStep(run), width))
      if (ofRun === null) unreadable.push(message)
      else {
        const { samples, ...ofSteps } = ofRun
        curves.push(ofSteps)
        if (best.has(run)) sampled.push({ task: one.task, name: run.name, samples })
      }
      onProgress(++read)
    }
    plotted.push({ ...one, curves, width })
  }
  return { plotted, sampled, unreadable }
}

const lastStep = ({ result: { steps, last } }: FinishedRun): number => Math.max(steps, last.step)

/** Figures of the first rows, before the curves. */
const firstFigures: ReadonlySet<string> = new Set(['score', 'figure7-ranks'])

const inOrder = (plotted: ReadonlyArray<PlottedFigure>, evaluated: ReadonlyArray<EvaluatedRun>): ReadonlyArray<PageFigure> => {
  const first = plotted.filter(({ name }) => firstFigures.has(name))
  return [...first, ...nonNull(confusionFigure(evaluated)), ...plotted.filter((figure) => !first.includes(figure))]
}

const nonNull = <Value>(value: Value | null): ReadonlyArray<Value> => (value === null ? [] : [value])

/** The evaluation of the best run of each task, if it is of the checkpoint that the run kept. */
const readEvaluations = async (
  series: ReadonlyArray<Series>,
): Promise<{ readonly evaluated: ReadonlyArray<EvaluatedRun>; readonly invalid: ReadonlyArray<string> }> => {
  const [evaluated, invalid]: [EvaluatedRun[], string[]] = [[], []]
  for (const best of bestSeries(series)) {
    const run = bestRun(best)
    if (run === null) continue
    const [details, message] = await resultOrMessage(() => readDetails(run.folder))
    if (message !== null) invalid.push(message)
    if (details !== null && details.step === keptStep(run.result)) evaluated.push({ task: best.task, name: run.name, details })
  }
  return { evaluated, invalid }
}

const nameOf = ({ folders }: ReportOptions): string => escapeText(folders.map((folder) => basename(folder) || folder).join(', '))

const summaryOf = (runs: ReadonlyArray<FinishedRun>, series: ReadonlyArray<Series>): string => {
  const tasks = new Set(series.map(({ task }) => task)).size
  return `${plural(runs.length, 'run')}, ${series.length} series, ${plural(tasks, 'task')}. Written by salora ${versions['salora'] ?? ''}. This file is complete and loads nothing.`
}

/** Writes each chart as SVG and, if resvg is installed, as PNG. @returns the files */
const writeCharts = async (
  folder: string,
  drawn: ReadonlyArray<PageFigure>,
  warn: (message: string | null) => void,
): Promise<ReadonlyArray<string>> => {
  const panels = drawn.flatMap((figure) => figure.panels)
  const [renderPng, missing] = panels.length === 0 ? [null, null] : await resultOrMessage(loadPngRenderer)
  warn(missing)
  await makeFolder(folder).catch((thrown: unknown) => {
    throw systemInputError(`--figures ${folder}`, 'a writable folder', thrown)
  })
  const files: string[] = []
  const write = async (name: string, content: string | Uint8Array): Promise<void> => {
    await writeFileAtomically(join(folder, name), content)
    files.push(join(folder, name))
  }
  for (const { name, chart } of panels) {
    const svg = drawChart(chart)
    await write(`${name}.svg`, svgFile(svg))
    if (renderPng !== null) await write(`${name}.png`, renderPng(svg))
  }
  return files
}
