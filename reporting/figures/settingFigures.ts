/** Figures of the score over a setting. A task has a panel, and runs that only differ in the setting and the seed have a line. */
import { group } from 'd3-array'
import { mean } from 'simple-statistics'
import type { Cell } from '../../evaluation/tables/tableText.js'
import { lineChart, type Point } from '../charts/chart.js'
import type { FinishedRun } from '../runs/collectRuns.js'
import { lastScore } from '../runs/scores.js'
import { methodLabels, collectTraits, type Traits } from '../runs/series.js'
import { isShare } from '../text/units.js'
import { panelsByTask, slug, spokenNumber, type Figure, type FigureContent, type Panel, type PlottedSeries } from './figure.js'

type SettingFigure = {
  readonly name: string
  readonly title: string
  readonly caption: string
  /** the setting's name */
  readonly axis: string
  /** whether the x axis is logarithmic */
  readonly logarithmic: boolean
  /** @returns null for a run without the setting */
  readonly valueOf: (settings: object) => number | null
  /** the traits that distinguish lines: without the setting, and without what depends on it */
  readonly lineTraits: (traits: Traits) => Traits
  /** whether runs without the setting are drawn as horizontal lines */
  readonly showsLevels: boolean
}

const readSetting =
  (name: string) =>
  (settings: object): number | null => {
    const value: unknown = Reflect.get(settings, name)
    return typeof value === 'number' && value > 0 ? value : null
  }

const without = (traits: Traits, ...names: readonly string[]): Traits => new Map([...traits].filter(([name]) => !names.includes(name)))

/** Figures 1 and 4: score by rank, for each method and for each set of adapted matrices. */
const byRank: SettingFigure = {
  name: 'figure1-4-rank',
  title: 'Score by rank (Figures 1 and 4)',
  caption: 'The rank is the one at the start of training.',
  axis: 'rank',
  logarithmic: true,
  valueOf: readSetting('rank'),
  // lines differ in α / r: α usually grows with the rank so that this scale is constant
  lineTraits: (traits) => {
    const [rank, alpha] = [traits.get('rank'), traits.get('loraAlpha')]
    const others = without(traits, 'rank', 'loraAlpha')
    return alpha === undefined ? others : new Map([...others, ['alpha / rank', String(Number(alpha) / Number(rank))]])
  },
  showsLevels: false,
}

/** Figure 5: score by target density, beside methods without a density. */
const byDensity: SettingFigure = {
  name: 'figure5-density',
  title: 'Score by density (Figure 5)',
  caption: 'The target density is the share of parameters to keep. A method without a density is a horizontal line.',
  axis: 'density',
  logarithmic: false,
  valueOf: readSetting('density'),
  lineTraits: (traits) => without(traits, 'density'),
  showsLevels: true,
}

type Scores = readonly number[]
type Line = {
  readonly task: string
  readonly metric: string
  readonly label: string
  readonly points: readonly { readonly value: number; readonly scores: Scores }[]
  /** scores of the runs without the setting */
  readonly level: Scores | null
}

const settingFigure = (figure: SettingFigure): Figure => ({
  name: figure.name,
  title: figure.title,
  plot: (series) => {
    const lines = buildLines(figure, series)
    const sweptTasks = new Set(lines.filter(({ points }) => points.length > 1).map(({ task }) => task))
    const plotted = lines.filter(({ task, points, level }) => sweptTasks.has(task) && (points.length > 1 || level !== null))
    return plotted.length === 0 ? null : buildContent(figure, plotted)
  },
})

export const settingFigures = [byRank, byDensity].map(settingFigure)

const buildContent = (figure: SettingFigure, lines: readonly Line[]): FigureContent => {
  const { panels, omitted } = panelsByTask(lines, 'lines', (task, ofTask) => buildPanel(figure, task, ofTask))
  return {
    caption: `${figure.caption} Score of the last evaluation. Line: mean over runs. Band: minimum to maximum of the runs.${omitted}`,
    panels,
    table: { columns: ['task', 'line', figure.axis, 'runs', 'metric', 'mean', 'min', 'max'], rows: lines.flatMap(listRows) },
  }
}

const listRows = ({ task, metric, label, points, level }: Line): readonly (readonly Cell[])[] => {
  const row = (value: number | null, scores: Scores): readonly Cell[] => [
    ...[task, label, value, scores.length, metric],
    ...[mean([...scores]), Math.min(...scores), Math.max(...scores)],
  ]
  return [...points.map(({ value, scores }) => row(value, scores)), ...(level === null ? [] : [row(null, level)])]
}

/** Runs with the same label share a line. Runs without the setting form its level. */
const buildLines = (figure: SettingFigure, series: readonly PlottedSeries[]): readonly Line[] => {
  const labels = labelRuns(figure, series)
  const scored = series.flatMap(({ task, metric, runs }) =>
    runs.flatMap((run) => {
      const score = lastScore(run.result, metric)
      const value = figure.valueOf(run.config.settings)
      const isShown = score !== null && (value !== null || figure.showsLevels)
      return isShown ? [{ task, metric, label: labels.get(run) ?? '', value, score }] : []
    }),
  )
  return [...group(scored, ({ task, label }) => JSON.stringify([task, label])).values()].flatMap((runs) => {
    const [first] = runs
    const byValue = group(runs, ({ value }) => value)
    const scoresAt = (value: number | null): Scores => byValue.get(value)?.map(({ score }) => score) ?? []
    const values = [...byValue.keys()].flatMap((value) => value ?? []).sort((a, b) => a - b)
    const points = values.map((value) => ({ value, scores: scoresAt(value) }))
    return first === undefined ? [] : [{ ...first, points, level: byValue.has(null) ? scoresAt(null) : null }]
  })
}

const labelRuns = (figure: SettingFigure, series: readonly PlottedSeries[]): ReadonlyMap<FinishedRun, string> => {
  const runsByTask = [...group(series, ({ task }) => task).values()].map((ofTask) => ofTask.flatMap(({ runs }) => runs))
  const traits = new Map([...collectTraits(runsByTask.flat())].map(([run, ofRun]) => [run, figure.lineTraits(ofRun)]))
  return new Map(runsByTask.flatMap((runs) => [...methodLabels(runs, traits)]))
}

const buildPanel = (figure: SettingFigure, task: string, lines: readonly Line[]): Panel => {
  const points = lines.flatMap(({ label, points: ofLine }) =>
    ofLine.map(
      ({ value, scores }): Point => ({
        ...{ series: label, x: value, y: mean([...scores]) },
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
    chart: lineChart(
      points,
      { title: figure.axis, ...(figure.logarithmic ? { values } : {}) },
      { title: metric, isShare: isShare(metric) },
      { levels },
    ),
  }
}

const spokenLine = ({ label, points, level }: Line): string => {
  const parts = points.map(({ value, scores }) => `${spokenNumber(mean([...scores]))} at ${value}`)
  const levelPart = level === null ? [] : [`${spokenNumber(mean([...level]))} at every value`]
  return `${label}: ${[...parts, ...levelPart].join(', ')}.`
}
