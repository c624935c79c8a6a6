/**
 * Writes a report: collects finished runs, reads their curves, draws the figures, and writes one HTML page.
 *
 * This folder makes the page. Charts belong in charts/, and the live page in board/.
 */
import { basename, join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import { versions } from '../../finetuning/run/versions.js'
import { drawChart } from '../charts/drawChart.js'
import type { PlottedFigure } from '../figures/figure.js'
import { readPageFiles } from './pageFiles.js'
import { collectRuns } from '../runs/collectRuns.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { escapeText } from '../text/html.js'
import { reportPage } from './reportPage.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { escapeHtml } from '../../evaluation/tables/tableText.js'
import { loadOptional } from '../../accelerated/storage/packages.js'

export type ReportOptions = {
  /** runs, sweeps, style transfers, or folders of these */
  readonly folders: readonly string[]
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
  readonly tables: readonly { readonly name: string; readonly title: string; readonly rows: number }[]
  /** figures with charts */
  readonly figures: readonly { readonly name: string; readonly title: string; readonly panels: readonly string[] }[]
  /** files of charts */
  readonly files: readonly string[]
  /** one line for each skipped run, sweep or style transfer */
  readonly skipped: readonly string[]
  /** why there are no PNG files, and figures that failed */
  readonly warnings: readonly string[]
}

/**
 * Writes the page atomically.
 * @throws InputError if no run is finished, a folder cannot be read, or a file cannot be written
 */
export const makeReport = async (options: ReportOptions, emit: (event: ReportEvent) => void = () => undefined): Promise<ReportResult> => {
  const collected = await collectRuns(options.folders)
  emit({ kind: 'collected', runs: collected.runs.length })
  const page = await reportPage(collected, {
    name: nameReport(options),
    version: versions['salora'] ?? '',
    files: await readPageFiles('report'),
    onProgress: (runs) => emit({ kind: 'read', runs }),
  })
  const { html, series, tables, figures, skipped } = page
  for (const message of skipped) emit({ kind: 'skipped', message })
  const warnings: string[] = []
  const warn = (message: string | null): void => {
    if (message === null) return
    warnings.push(message)
    emit({ kind: 'warning', message })
  }
  page.warnings.forEach(warn)
  const files = options.figures === null ? [] : await writeCharts(options.figures, figures, warn)
  await writeFileAtomically(options.output, html)
  return {
    output: options.output,
    runs: collected.runs.length,
    series: series.length,
    tables: tables.map(({ name, title, table }) => ({ name, title, rows: table.rows.length })),
    figures: figures
      .filter(({ panels }) => panels.length > 0)
      .map(({ name, title, panels }) => ({ name, title, panels: panels.map((panel) => panel.name) })),
    files,
    skipped,
    warnings,
  }
}

const nameReport = ({ folders }: ReportOptions): string => escapeText(folders.map((folder) => basename(folder) || folder).join(', '))

/** Writes each chart as SVG and, if resvg is installed, as PNG. @returns the files */
const writeCharts = async (
  folder: string,
  drawn: readonly PlottedFigure[],
  warn: (message: string | null) => void,
): Promise<readonly string[]> => {
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
  for (const { name, alternative, chart } of panels) {
    const svg = drawChart(chart)
    await write(`${name}.svg`, svgFile(svg, alternative))
    if (renderPng !== null) await write(`${name}.png`, renderPng(svg))
  }
  return files
}

/** Charts as files: SVG, and PNG with resvg, an optional peer dependency that is loaded when there is something to draw. */
type PngRenderer = (svg: string) => Uint8Array

const resvgPackages = { feature: 'PNG files', names: ['@resvg/resvg-js'], install: ['@resvg/resvg-js'] }

/** A chart as a file of its own: dark on light or light on dark, as the viewer prefers, with what it shows as its title. */
const svgFile = (svg: string, alternative: string): string =>
  svg
    .replace(/^<svg /, '<svg color="#1b1b1b" ')
    .replace(
      '>',
      () => `><style>@media (prefers-color-scheme: dark) { :root { color: #e6e6e6 } }</style><title>${escapeHtml(alternative)}</title>`,
    )

/**
 * Loads resvg. The renderer draws dark on white, with two pixels for each pixel of the chart.
 * @throws MissingPackageError if @resvg/resvg-js is not installed
 * @throws InputError if this machine has no font
 */
const loadPngRenderer = async (): Promise<PngRenderer> => {
  const { Resvg } = await loadOptional(resvgPackages, () => import('@resvg/resvg-js'))
  const word =
    '<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"><text x="9" y="20" font-family="sans-serif">word</text></svg>'
  if (new Resvg(word).getBBox() === undefined) throw inputError('PNG files', 'a font (such as the package fonts-dejavu-core)', 'none')
  return (svg) =>
    new Resvg(svg.replace(/^<svg /, '<svg color="#1b1b1b" '), {
      background: '#ffffff',
      fitTo: { mode: 'zoom', value: 2 },
      font: { defaultFontFamily: 'sans-serif' },
    })
      .render()
      .asPng()
}
