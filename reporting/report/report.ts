/** A report from folders to a page: what is finished is collected, its curves are read, figures are drawn, and the page is written whole. */
import { basename, join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { InputError } from '../../accelerated/errors/inputError.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import { versions } from '../../finetuning/runs/versions.js'
import { collectRuns, type FoundRun } from './collectRuns.js'
import { bucketWidth } from '../charts/downSample.js'
import { pngDrawer, svgDrawer, svgFile } from '../charts/drawing.js'
import { figures } from '../charts/figures/index.js'
import type { DrawnSeries, Panel } from '../charts/figure.js'
import { reportPage, type Page, type PageFigure } from './reportPage.js'
import { readRunCurves, type RunCurves } from '../charts/runCurves.js'
import { seriesOf, type Series } from '../charts/series.js'
import { escapeText } from '../charts/escapeText.js'
import { tablesOf } from './tables/index.js'

export type ReportOptions = {
  /** runs, sweeps, style transfers, or folders of such */
  readonly folders: ReadonlyArray<string>
  /** of the page */
  readonly output: string
  /** also each chart as SVG and PNG in this folder; null: in the page alone */
  readonly figures: string | null
}

export type ReportEvent =
  | { readonly kind: 'collected'; readonly runs: number }
  | { readonly kind: 'read'; readonly runs: number }
  | { readonly kind: 'left out'; readonly line: string }

export type ReportResult = {
  readonly output: string
  readonly runs: number
  readonly series: number
  readonly tables: ReadonlyArray<{ readonly name: string; readonly title: string; readonly rows: number }>
  readonly figures: ReadonlyArray<{ readonly name: string; readonly title: string; readonly panels: ReadonlyArray<string> }>
  /** files of charts, where they were asked for */
  readonly files: ReadonlyArray<string>
  /** no PNG was written: this machine has no font for their words */
  readonly withoutFont: boolean
  /** one line each */
  readonly leftOut: ReadonlyArray<string>
}

/** Points of one figure over all its series, and of one series: what a page shows smoothly, and what an eye can tell apart. */
const [pointsOfFigure, mostPoints, leastPoints] = [2400, 240, 8]

/** @throws Mistake where nothing is finished, a folder cannot be read, or a file cannot be written; the page is whole or not there */
export const makeReport = async (options: ReportOptions, tell: (event: ReportEvent) => void = () => undefined): Promise<ReportResult> => {
  const collected = await collectRuns(options.folders)
  tell({ kind: 'collected', runs: collected.runs.length })
  const series = seriesOf(collected.runs)
  const { drawn, leftOut } = await withCurves(series, (runs) => tell({ kind: 'read', runs }))
  const told = [...collected.leftOut, ...leftOut]
  for (const line of told) tell({ kind: 'left out', line })
  const tables = tablesOf(collected, series)
  const toDraw = figures.flatMap(({ name, title, draw }) => {
    const figure = draw(drawn)
    return figure === null ? [] : [{ name, title, ...figure }]
  })
  const svgOf = toDraw.length === 0 ? null : await svgDrawer()
  const shown: PageFigure[] = []
  for (const figure of toDraw) {
    const panels: PageFigure['panels'][number][] = []
    for (const { spec, ...panel } of figure.panels) if (svgOf !== null) panels.push({ ...panel, svg: await svgOf(spec) })
    shown.push({ ...figure, panels })
  }
  const page = reportPage(pageOf(options, collected.runs, series, told, tables, shown))
  const { files, withoutFont } = options.figures === null ? { files: [], withoutFont: false } : await writeFigures(options.figures, shown)
  await writeFileAtomically(options.output, page)
  return {
    output: options.output,
    runs: collected.runs.length,
    series: series.length,
    tables: tables.map(({ name, title, table }) => ({ name, title, rows: table.rows.length })),
    figures: shown.map(({ name, title, panels }) => ({ name, title, panels: panels.map((panel: Pick<Panel, 'name'>) => panel.name) })),
    files,
    withoutFont,
    leftOut: told,
  }
}

/** A run whose metrics cannot be read keeps its place in the tables, and has no curve. */
const withCurves = async (
  series: ReadonlyArray<Series>,
  tell: (runs: number) => void,
): Promise<{ readonly drawn: ReadonlyArray<DrawnSeries>; readonly leftOut: ReadonlyArray<string> }> => {
  const points = Math.max(leastPoints, Math.min(mostPoints, Math.floor(pointsOfFigure / Math.max(1, series.length))))
  const [drawn, leftOut]: [DrawnSeries[], string[]] = [[], []]
  let read = 0
  for (const one of series) {
    const width = bucketWidth(Math.max(...one.runs.map(lastStep)), points)
    const curves: RunCurves[] = []
    for (const run of one.runs) {
      const found = await readRunCurves(run.folder, lastStep(run), width).catch((thrown: unknown) => {
        if (!(thrown instanceof InputError)) throw thrown
        leftOut.push(thrown.message)
        return null
      })
      if (found !== null) curves.push(found)
      tell(++read)
    }
    drawn.push({ ...one, curves, width })
  }
  return { drawn, leftOut }
}

const lastStep = ({ result: { steps, last } }: FoundRun): number => Math.max(steps, last.step)

const pageOf = (
  { folders }: ReportOptions,
  runs: ReadonlyArray<FoundRun>,
  series: ReadonlyArray<Series>,
  leftOut: ReadonlyArray<string>,
  tables: Page['tables'],
  shown: Page['figures'],
): Page => {
  const tasks = new Set(series.map(({ task }) => task)).size
  const counts = [counted(runs.length, 'run'), counted(series.length, 'series'), counted(tasks, 'task')].join(', ')
  return {
    title: `salora: ${escapeText(folders.map((folder) => basename(folder) || folder).join(', '))}`,
    summary: `${counts}; made by salora ${versions['salora'] ?? ''}. Everything is in this file: it loads nothing.`,
    leftOut: leftOut.map(escapeText),
    tables,
    figures: shown,
  }
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 || noun === 'series' ? '' : 's'}`

const writeFigures = async (
  folder: string,
  shown: ReadonlyArray<PageFigure>,
): Promise<{ readonly files: ReadonlyArray<string>; readonly withoutFont: boolean }> => {
  const pngOf = await pngDrawer()
  await makeFolder(folder).catch((thrown: unknown) => {
    throw systemInputError(`--figures ${folder}`, 'a folder that can be written', thrown)
  })
  const files: string[] = []
  const write = async (name: string, content: string | Uint8Array): Promise<void> => {
    await writeFileAtomically(join(folder, name), content)
    files.push(join(folder, name))
  }
  for (const { name, svg } of shown.flatMap(({ panels }) => panels)) {
    await write(`${name}.svg`, svgFile(svg))
    if (pngOf !== null) await write(`${name}.png`, pngOf(svg))
  }
  return { files, withoutFont: pngOf === null }
}
