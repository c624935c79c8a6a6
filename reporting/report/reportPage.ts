/** The page of collected runs: their tables, curves and figures as one HTML text. It reads the runs' files from any storage. */
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { readDetails } from '../../finetuning/runs/evaluationDetails.js'
import { bestRun, bestSeries } from '../charts/bestRun.js'
import { confusionFigure, type EvaluatedRun } from '../charts/confusion.js'
import { bucketWidth } from '../charts/downSample.js'
import { escapeText } from '../charts/escapeText.js'
import type { PlottedSeries } from '../charts/figure.js'
import { plotFigures, type PlottedFigure } from '../charts/figures/plotFigures.js'
import { plural } from '../charts/formatNumber.js'
import { readRunCurves, type RunCurves } from '../charts/runCurves.js'
import { keptStep } from '../charts/savedScore.js'
import { seriesOf, type Series } from '../charts/series.js'
import type { Collected, FinishedRun } from '../discovery/collectRuns.js'
import type { PageFiles } from '../pageFiles.js'
import { resultOrMessage } from '../resultOrMessage.js'
import type { PageFigure } from './figureHtml.js'
import { overviewOf } from './overview.js'
import { pageHtml } from './pageHtml.js'
import { tablesOf } from './tables/index.js'
import type { ReportTable } from './tables/reportTable.js'
import type { SampledRun } from './tables/samples.js'

/** Maximum number of points of one figure, and maximum and minimum of one series: pages stay fast, and finer curves look the same. */
const [figurePoints, maxSeriesPoints, minSeriesPoints] = [2400, 240, 8]

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
  readonly series: ReadonlyArray<Series>
  readonly tables: ReadonlyArray<ReportTable>
  readonly figures: ReadonlyArray<PageFigure>
  /** one line for each run, sweep or style transfer that is not in the page, and for each part that could not be read */
  readonly skipped: ReadonlyArray<string>
  /** figures that failed */
  readonly warnings: ReadonlyArray<string>
}

export const reportPage = async (collected: Collected, options: PageOptions): Promise<ReportPage> => {
  const { name, version, files, storage = nodeFiles, onProgress = () => undefined } = options
  const series = seriesOf(collected.runs)
  const { plotted, sampled, unreadable } = await readCurves(series, storage, onProgress)
  const { evaluated, invalid } = await readEvaluations(series, storage)
  const skipped = [...collected.skipped, ...unreadable, ...invalid]
  const { plotted: all, failed: warnings } = plotFigures(plotted)
  const figures = inOrder(all, evaluated)
  const { comparisons, details } = tablesOf(collected, series, evaluated, sampled)
  const overview = overviewOf(collected.runs, series, name)
  const summary = summaryOf(collected.runs, series, version)
  const texts = { title: `salora: ${name}`, overview, summary, warnings, skipped: skipped.map(escapeText) }
  const html = pageHtml({ ...texts, tables: comparisons, figures, details }, files)
  return { html, series, tables: [...comparisons, ...details], figures, skipped, warnings }
}

/** A run without readable metrics stays in the tables, but has no curve. */
const readCurves = async (
  series: ReadonlyArray<Series>,
  storage: Storage,
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
      const [ofRun, message] = await resultOrMessage(() => readRunCurves(run.folder, lastStep(run), width, storage))
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
  storage: Storage,
): Promise<{ readonly evaluated: ReadonlyArray<EvaluatedRun>; readonly invalid: ReadonlyArray<string> }> => {
  const [evaluated, invalid]: [EvaluatedRun[], string[]] = [[], []]
  for (const best of bestSeries(series)) {
    const run = bestRun(best)
    if (run === null) continue
    const [details, message] = await resultOrMessage(() => readDetails(run.folder, storage))
    if (message !== null) invalid.push(message)
    if (details !== null && details.step === keptStep(run.result)) evaluated.push({ task: best.task, name: run.name, details })
  }
  return { evaluated, invalid }
}

const summaryOf = (runs: ReadonlyArray<FinishedRun>, series: ReadonlyArray<Series>, version: string): string => {
  const tasks = new Set(series.map(({ task }) => task)).size
  return `${plural(runs.length, 'run')}, ${series.length} series, ${plural(tasks, 'task')}. Written by salora ${version}. This file is complete and loads nothing.`
}
