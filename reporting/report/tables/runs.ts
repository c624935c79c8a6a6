/** What every run scored, kept and cost: by series over seeds, and one by one. */
import { mean } from 'simple-statistics'
import { summaryOf } from '../../../evaluation/glue/statistics.js'
import type { FoundRun } from '../collectRuns.js'
import type { Cell } from '../../charts/figure.js'
import { lastScore, type Series } from '../../charts/series.js'
import { escapeText } from '../../charts/escapeText.js'
import type { ReportTable } from './index.js'

const meanOf = (values: ReadonlyArray<number>): number | null => (values.length === 0 ? null : mean([...values]))

const trained = ({ result: { trainableParameters } }: FoundRun): { readonly method: number; readonly head: number } => {
  const { head = 0, ...others } = trainableParameters
  return { method: Object.values(others).reduce((a, b) => a + b, 0), head }
}

export const seriesTable = (series: ReadonlyArray<Series>): ReportTable => ({
  name: 'scores',
  title: 'Scores and costs',
  caption:
    'Runs that differ by their seed alone are one line. Score: of the last evaluation, mean over runs, largest deviation from it, and the middle 95 % of means of resampled runs.',
  table: {
    columns: [
      'task',
      'series',
      'runs',
      'score',
      'mean',
      'largest deviation',
      'interval from',
      'interval to',
      'parameters',
      'head',
      'retained share',
      'seconds',
      'peak bytes',
    ],
    rows: series.map(({ task, score, label, runs }): ReadonlyArray<Cell> => {
      const summary = summaryOf(runs.flatMap(({ result }) => lastScore(result, score) ?? []))
      const [first] = runs
      const { method, head } = first === undefined ? { method: null, head: null } : trained(first)
      return [
        task,
        label,
        runs.length,
        score,
        summary?.mean ?? null,
        summary?.maximumDeviation ?? null,
        summary?.interval[0] ?? null,
        summary?.interval[1] ?? null,
        method,
        head,
        meanOf(runs.flatMap(({ result }) => result.retainedDensity ?? [])),
        meanOf(runs.map(({ result }) => result.seconds)),
        Math.max(...runs.map(({ result }) => result.peakMemoryBytes)),
      ]
    }),
  },
})

export const runsTable = (series: ReadonlyArray<Series>): ReportTable => ({
  name: 'runs',
  title: 'Every run',
  caption: 'The numbers of each result.json.',
  folded: true,
  table: {
    columns: [
      'run',
      'task',
      'series',
      'seed',
      'score',
      'last',
      'at step',
      'best',
      'at step of best',
      'ended',
      'target density',
      'expected density',
      'retained share',
      'retained parameters',
      'lambda',
      'seconds',
      'peak bytes',
      'device',
      'precision',
    ],
    rows: series.flatMap(({ task, score, label, runs }) =>
      runs.map(({ name, result }): ReadonlyArray<Cell> => {
        const { last, best } = result
        return [
          escapeText(name),
          task,
          label,
          result.seed,
          score,
          last.scores[score] ?? null,
          last.step,
          best?.scores[score] ?? null,
          best?.step ?? null,
          result.interrupted ? 'interrupted' : 'finished',
          result.targetDensity ?? null,
          result.expectedDensity ?? null,
          result.retainedDensity ?? null,
          result.retainedParameters ?? null,
          result.lambda ?? null,
          result.seconds,
          result.peakMemoryBytes,
          escapeText(result.device),
          result.precision === undefined ? null : escapeText(result.precision),
        ]
      }),
    ),
  },
})
