/** A score over a setting: what the figures by rank and by density have in common. A panel for each task, a line for all runs that otherwise are alike. */
import { mean } from 'simple-statistics'
import type { FoundRun } from '../../report/collectRuns.js'
import { lineChart, notShown, panelLimit, seriesLimit, slug, type Point } from '../chart.js'
import type { DrawnSeries, Figure, Panel } from '../figure.js'
import { factsOf, grouped, lastScore, methodLabels, type Facts } from '../series.js'
import { rounded } from './curves.js'

export type SettingFigure = {
  readonly name: string
  readonly title: string
  readonly caption: string
  /** what the setting is called */
  readonly axis: string
  readonly logarithmic: boolean
  /** null for a run that does not have it */
  readonly valueOf: (run: FoundRun) => number | null
  /** what tells lines apart, of all that tells runs apart: without the setting itself, and what goes with it */
  readonly apart: (facts: Facts) => Facts
  /** whether runs without the setting are drawn too, as a line across */
  readonly levels: boolean
}

type Measured = { readonly value: number; readonly scores: ReadonlyArray<number> }
type Line = {
  readonly task: string
  readonly score: string
  readonly label: string
  readonly points: ReadonlyArray<Measured>
  readonly level: ReadonlyArray<number> | null
}

export const settingFigure = (figure: SettingFigure): Figure => ({
  name: figure.name,
  title: figure.title,
  draw: (series) => {
    const lines = linesOf(figure, series)
    const swept = new Set(lines.filter(({ points }) => points.length > 1).map(({ task }) => task))
    const drawn = lines.filter(({ task, points, level }) => swept.has(task) && (points.length > 1 || level !== null))
    if (drawn.length === 0) return null
    const byTask = [...grouped(drawn, ({ task }) => task)]
    const shown = byTask.slice(0, panelLimit)
    const fitting = shown.reduce((sum, [, own]) => sum + Math.min(seriesLimit, own.length), 0)
    return {
      caption:
        `${figure.caption} Line: mean over runs of the last evaluation; band: smallest to largest.` +
        notShown(drawn.length - fitting, 'lines'),
      panels: shown.map(([task, own]) => panelOf(figure, task, own.slice(0, seriesLimit))),
      table: {
        columns: ['task', 'line', figure.axis, 'runs', 'score', 'mean', 'smallest', 'largest'],
        rows: drawn.flatMap(({ task, score, label, points, level }) => [
          ...points.map(({ value, scores }) => [
            task,
            label,
            value,
            scores.length,
            score,
            mean([...scores]),
            Math.min(...scores),
            Math.max(...scores),
          ]),
          ...(level === null ? [] : [[task, label, null, level.length, score, mean([...level]), Math.min(...level), Math.max(...level)]]),
        ]),
      },
    }
  },
})

const linesOf = (figure: SettingFigure, series: ReadonlyArray<DrawnSeries>): ReadonlyArray<Line> => {
  const facts = new Map(series.flatMap(({ runs }) => runs).map((run) => [run, figure.apart(factsOf(run))]))
  const labels = new Map(
    [...grouped(series, ({ task }) => task).values()].flatMap((own) => [
      ...methodLabels(
        own.flatMap(({ runs }) => runs),
        facts,
      ),
    ]),
  )
  const scored = series.flatMap(({ task, score, runs }) =>
    runs.flatMap((run) => {
      const last = lastScore(run.result, score)
      const value = figure.valueOf(run)
      const label = labels.get(run) ?? ''
      return last === null || (value === null && !figure.levels) ? [] : [{ task, score, label, value, last }]
    }),
  )
  return [...grouped(scored, ({ task, label }) => JSON.stringify([task, label])).values()].flatMap((own) => {
    const [first] = own
    if (first === undefined) return []
    const without = own.filter(({ value }) => value === null).map(({ last }) => last)
    const byValue = grouped(
      own.filter(({ value }) => value !== null),
      ({ value }) => String(value),
    )
    const points = [...byValue.values()].map((at) => ({ value: at[0]?.value ?? 0, scores: at.map(({ last }) => last) }))
    return [{ ...first, points: points.sort((a, b) => a.value - b.value), level: without.length === 0 ? null : without }]
  })
}

const panelOf = (figure: SettingFigure, task: string, lines: ReadonlyArray<Line>): Panel => {
  const points = lines.flatMap(({ label, points: own }) =>
    own.map(
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
  const score = lines[0]?.score ?? 'score'
  return {
    name: `${figure.name}-${slug(task)}`,
    title: task,
    alternative: `${figure.title}, ${task}: ${score} by ${figure.axis}. ${lines.map(told).join(' ')}`,
    spec: lineChart(points, { title: figure.axis, ...(figure.logarithmic ? { values } : {}) }, { title: score }, levels),
  }
}

const told = ({ label, points, level }: Line): string =>
  `${label}: ${[
    ...points.map(({ value, scores }) => `${rounded(mean([...scores]))} at ${value}`),
    ...(level === null ? [] : [`${rounded(mean([...level]))} throughout`]),
  ].join(', ')}.`
