/** The report's figures of runs that are looked at, drawn anew when their curves have grown. Drawn one after another, whoever asks. */
import { setImmediate as turn } from 'node:timers/promises'
import { matrixPlace, matrixTitles } from '../charts/matrixNames.js'
import { lineChart, notShown, seriesLimit } from '../charts/chart.js'
import { bandOf, coarsened, type Bucket } from '../charts/downSample.js'
import { svgDrawer } from '../charts/drawing.js'
import type { DrawnFigure, DrawnSeries, Table } from '../charts/figure.js'
import { figures } from '../charts/figures/index.js'
import { ranksFigure } from '../charts/figures/ranks.js'
import type { RunCurves } from '../charts/runCurves.js'
import { scoreNameOf, taskOf } from '../charts/series.js'
import { csvOf } from '../report/reportPage.js'
import { escapeText } from '../charts/escapeText.js'
import type { CurveShelf, LiveCurves } from './curveCache.js'
import type { WatchedRun } from './watch.js'

export type Picture = {
  readonly name: string
  readonly title: string
  readonly caption: string
  readonly panels: ReadonlyArray<{ readonly name: string; readonly title: string; readonly alternative: string; readonly svg: string }>
  /** the numbers of all panels */
  readonly table: Table
  readonly csv: string
}

export type Pictures = {
  readonly pictures: ReadonlyArray<Picture>
  /** what could not be read, one line each */
  readonly odd: ReadonlyArray<string>
  /** of what they show */
  readonly version: string
}

export type Studio = {
  /** `versionSeen`: of those that the asker has. @returns null where there is nothing newer, or it is too early to draw again */
  readonly draw: (runs: ReadonlyArray<WatchedRun>, versionSeen: string | null) => Promise<Pictures | null>
}

/** A drawing of what grows rests so many times as long as it took. */
const rest = 10
/** Drawings that are kept for the next who asks. */
const kept = 16

export const openStudio = (shelf: CurveShelf): Studio => {
  const drawings = new Map<string, { readonly pictures: Pictures; readonly from: number }>()
  let queue: Promise<unknown> = Promise.resolve()

  const draw = async (runs: ReadonlyArray<WatchedRun>, versionSeen: string | null): Promise<Pictures | null> => {
    const key = runs.map(({ id }) => id).join()
    const live = await Promise.all(runs.map(async (run) => ({ run, live: await shelf.of(run) })))
    const version = live.map(({ run, live: { version: own } }) => `${run.id} ${own} ${run.state}`).join()
    const before = drawings.get(key)
    if (before?.pictures.version === version) return versionSeen === version ? null : before.pictures
    if (before !== undefined && performance.now() < before.from) return versionSeen === before.pictures.version ? null : before.pictures
    const began = performance.now()
    const pictures = { pictures: await drawn(live), odd: live.flatMap(({ live: { odd } }) => odd ?? []), version }
    drawings.delete(key)
    drawings.set(key, { pictures, from: performance.now() + rest * (performance.now() - began) })
    for (const [other] of drawings) if (drawings.size > kept) drawings.delete(other)
    return pictures
  }
  return {
    draw: (runs, versionSeen) => {
      const next = queue.then(() => draw(runs, versionSeen))
      queue = next.catch(() => undefined)
      return next
    },
  }
}

type Live = { readonly run: WatchedRun; readonly live: LiveCurves }

const drawn = async (live: ReadonlyArray<Live>): Promise<ReadonlyArray<Picture>> => {
  const made = figuresOf(live)
  if (made.length === 0) return []
  const svgOf = await svgDrawer()
  const pictures: Picture[] = []
  for (const { panels, ...figure } of made) {
    const shown: Picture['panels'][number][] = []
    for (const { spec, ...panel } of panels) {
      shown.push({ ...panel, svg: await svgOf(spec) })
      await turn() // others have their turn between two panels
    }
    pictures.push({ ...figure, panels: shown, csv: csvOf(figure.table) })
  }
  return pictures
}

type Made = { readonly name: string; readonly title: string } & DrawnFigure

/** The figures of curves, each run a line of its own; then ranks, of those that have them. */
const figuresOf = (live: ReadonlyArray<Live>): ReadonlyArray<Made> => {
  const width = Math.max(1, ...live.map(({ live: { width: own } }) => own))
  const series = live.map((one) => seriesOf(one, live.length > 1, width))
  const curves = figures.flatMap(({ name, title, draw }) => {
    const figure = draw(series)
    return figure === null ? [] : [{ name, title, ...figure }]
  })
  const map = ranksFigure(
    live.flatMap(({ run, live: { newest } }) =>
      newest === null
        ? []
        : [{ task: taskName(run), label: `${labelOf(run, live.length > 1)}, step ${newest.step}`, ranks: [newest.ranks], seeds: [0] }],
    ),
    'Layers down and matrices across: expected ranks while gates are sampled, and whole ones once they have closed; 0: the matrix is as it was.',
  )
  const ranks = map === null ? [] : [{ name: 'ranks', title: 'Ranks by matrix', ...map, panels: map.panels.map(withoutSeeds) }]
  return [...curves, ...(live.length === 1 ? live.flatMap((one) => closing(one, width)) : []), ...ranks]
}

const withoutSeeds = <T extends { readonly title: string; readonly alternative: string }>(panel: T): T => ({
  ...panel,
  title: panel.title.replace(/ \(1 seed\)$/, ''),
})

const taskName = ({ config }: WatchedRun): string => (config === null ? 'no config.json' : taskOf(config))

const labelOf = ({ name, config }: WatchedRun, isOneOfSeveral: boolean): string =>
  escapeText(isOneOfSeveral ? name : String(config?.settings.method ?? name))

const seriesOf = ({ run, live: { curves } }: Live, isOneOfSeveral: boolean, width: number): DrawnSeries => {
  const task = taskName(run)
  const scores = Object.fromEntries([...curves.scores.keys()].map((name) => [name, 0]))
  return {
    task,
    score: scoreNameOf(task, scores),
    label: labelOf(run, isOneOfSeveral),
    runs: [],
    curves: [widened(curves, width)],
    width,
  }
}

const widened = ({ steps, scores }: RunCurves, width: number): RunCurves => ({
  steps: Object.fromEntries(Object.entries(steps).map(([name, buckets]) => [name, coarsened(buckets, width)])) as RunCurves['steps'],
  scores: new Map([...scores].map(([name, buckets]) => [name, coarsened(buckets, width)])),
})

/** Ranks over steps while gates close: a line for each kind of matrix, its mean over layers, with a band over them. */
const closing = ({ run, live: { ranks } }: Live, width: number): ReadonlyArray<Made> => {
  const byColumn = new Map<string, ReadonlyArray<Bucket>[]>()
  for (const [name, buckets] of ranks) {
    const { column } = matrixPlace(name)
    byColumn.set(column, [...(byColumn.get(column) ?? []), coarsened(buckets, width)])
  }
  const longest = Math.max(0, ...[...ranks.values()].map(({ length }) => length))
  if (longest < 2) return []
  const titles = matrixTitles([...byColumn.keys()])
  const lines = [...byColumn].slice(0, seriesLimit).map(([column, layers]) => ({
    series: escapeText(titles.get(column) ?? column),
    bands: bandOf(layers, width),
  }))
  const told = lines.map(({ series, bands }) => `${series}: ${bands.at(-1)?.mean.toPrecision(3)} at step ${bands.at(-1)?.to}.`)
  return [
    {
      name: 'closing',
      title: 'Ranks as the gates close',
      caption: `Expected ranks by kind of matrix. Line: mean over layers; band: smallest to largest of any layer.${notShown(byColumn.size - lines.length, 'kinds')}`,
      panels: [
        {
          name: 'closing',
          title: taskName(run),
          alternative: `Ranks over steps. ${told.join(' ')}`,
          spec: lineChart(
            lines.flatMap(({ series, bands }) => bands.map(({ to, mean, low, high }) => ({ series, x: to, y: mean, low, high }))),
            { title: 'step' },
            { title: 'expected rank' },
          ),
        },
      ],
      table: {
        columns: ['matrices', 'first step', 'last step', 'mean rank', 'smallest', 'largest'],
        rows: lines.flatMap(({ series, bands }) => bands.map(({ from, to, mean, low, high }) => [series, from, to, mean, low, high])),
      },
    },
  ]
}
