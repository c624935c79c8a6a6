/** Figures of the score over a setting. A task has a panel, and runs that only differ in the setting and the seed have a line. */
import { mean } from 'simple-statistics'
import type { FinishedRun } from '../../discovery/collectRuns.js'
import { seriesLimit } from '../chartStyle.js'
import type { Figure, FigureContent, Panel, PlottedSeries } from '../figure.js'
import { lineChart, type Point } from '../lineChart.js'
import { omittedSentence, panelLimit, slug, spokenNumber } from '../panels.js'
import { groupBy } from '../../groupBy.js'
import { lastScore, methodLabels, traitsOf, type Traits } from '../series.js'
import type { Cell } from '../table.js'

export type SettingFigure = {
  readonly name: string
  readonly title: string
  readonly caption: string
  /** the setting's name */
  readonly axis: string
  /** whether the x axis is logarithmic */
  readonly logarithmic: boolean
  /** @returns null for a run without the setting */
  readonly valueOf: (run: FinishedRun) => number | null
  /** the traits that distinguish lines: without the setting, and without what depends on it */
  readonly lineTraits: (traits: Traits) => Traits
  /** whether runs without the setting are drawn as horizontal lines */
  readonly showsLevels: boolean
}

type ScoresAtValue = { readonly value: number; readonly scores: ReadonlyArray<number> }
type Line = {
  readonly task: string
  readonly metric: string
  readonly label: string
  readonly points: ReadonlyArray<ScoresAtValue>
  /** scores of the runs without the setting */
  readonly level: ReadonlyArray<number> | null
}

export const settingFigure = (figure: SettingFigure): Figure => ({
  name: figure.name,
  title: figure.title,
  plot: (series) => {
    const lines = linesOf(figure, series)
    const sweptTasks = new Set(lines.filter(({ points }) => points.length > 1).map(({ task }) => task))
    const plotted = lines.filter(({ task, points, level }) => sweptTasks.has(task) && (points.length > 1 || level !== null))
    return plotted.length === 0 ? null : contentOf(figure, plotted)
  },
})

const contentOf = (figure: SettingFigure, lines: ReadonlyArray<Line>): FigureContent => {
  const byTask = [...groupBy(lines, ({ task }) => task)].slice(0, panelLimit)
  const shown = byTask.reduce((sum, [, ofTask]) => sum + Math.min(seriesLimit, ofTask.length), 0)
  return {
    caption:
      `${figure.caption} Score of the last evaluation. Line: mean over runs. Band: minimum to maximum of the runs.` +
      omittedSentence(lines.length - shown, 'lines'),
    panels: byTask.map(([task, ofTask]) => panelOf(figure, task, ofTask.slice(0, seriesLimit))),
    table: { columns: ['task', 'line', figure.axis, 'runs', 'metric', 'mean', 'min', 'max'], rows: lines.flatMap(rowsOf) },
  }
}

const rowsOf = ({ task, metric, label, points, level }: Line): ReadonlyArray<ReadonlyArray<Cell>> => {
  const row = (value: number | null, scores: ReadonlyArray<number>): ReadonlyArray<Cell> => [
    ...[task, label, value, scores.length, metric],
    ...[mean([...scores]), Math.min(...scores), Math.max(...scores)],
  ]
  return [...points.map(({ value, scores }) => row(value, scores)), ...(level === null ? [] : [row(null, level)])]
}

/** Runs with the same label share a line. Runs without the setting form its level. */
const linesOf = (figure: SettingFigure, series: ReadonlyArray<PlottedSeries>): ReadonlyArray<Line> => {
  const labels = labelsOf(figure, series)
  const scored = series.flatMap(({ task, metric, runs }) =>
    runs.flatMap((run) => {
      const score = lastScore(run.result, metric)
      const value = figure.valueOf(run)
      const isShown = score !== null && (value !== null || figure.showsLevels)
      return isShown ? [{ task, metric, label: labels.get(run) ?? '', value, score }] : []
    }),
  )
  return [...groupBy(scored, ({ task, label }) => JSON.stringify([task, label])).values()].flatMap((runs) => {
    const [first] = runs
    if (first === undefined) return []
    const levelScores = runs.filter(({ value }) => value === null).map(({ score }) => score)
    const withValue = runs.flatMap(({ value, score }) => (value === null ? [] : [{ value, score }]))
    const points = [...groupBy(withValue, ({ value }) => String(value)).values()].map((same) => ({
      value: same[0]?.value ?? 0,
      scores: same.map(({ score }) => score),
    }))
    return [{ ...first, points: points.sort((a, b) => a.value - b.value), level: levelScores.length === 0 ? null : levelScores }]
  })
}

const labelsOf = (figure: SettingFigure, series: ReadonlyArray<PlottedSeries>): ReadonlyMap<FinishedRun, string> => {
  const runsByTask = [...groupBy(series, ({ task }) => task).values()].map((ofTask) => ofTask.flatMap(({ runs }) => runs))
  const traits = new Map([...traitsOf(runsByTask.flat())].map(([run, ofRun]) => [run, figure.lineTraits(ofRun)]))
  return new Map(runsByTask.flatMap((runs) => [...methodLabels(runs, traits)]))
}

const panelOf = (figure: SettingFigure, task: string, lines: ReadonlyArray<Line>): Panel => {
  const points = lines.flatMap(({ label, points: ofLine }) =>
    ofLine.map(
      ({ value, scores }): Point => ({
        series: label,
        x: value,
        y: mean([...scores]),
        low: Math.min(...scores),
        high: Math.max(...scores),
      }),
    ),
  )
  const levels = lines.flatMap(({ label, level }) => (level === null ? [] : [{ series: label, y: mean([...level]) }]))
  const values = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b)
  const metric = lines[0]?.metric ?? 'score'
  return {
    name: `${figure.name}-${slug(task)}`,
    title: task,
    alternative: `${figure.title}, ${task}: ${metric} by ${figure.axis}. ${lines.map(spokenLine).join(' ')}`,
    chart: lineChart(points, { title: figure.axis, ...(figure.logarithmic ? { values } : {}) }, { title: metric }, { levels }),
  }
}

const spokenLine = ({ label, points, level }: Line): string => {
  const parts = points.map(({ value, scores }) => `${spokenNumber(mean([...scores]))} at ${value}`)
  const levelPart = level === null ? [] : [`${spokenNumber(mean([...level]))} at every value`]
  return `${label}: ${[...parts, ...levelPart].join(', ')}.`
}
