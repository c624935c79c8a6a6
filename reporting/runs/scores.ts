/** Scores of runs: that of the checkpoint in adapter/, which is the number that a user gets, and the best series and run by it. */
import { group, sum } from 'd3-array'
import { mean } from 'simple-statistics'
import { isLowerBetter } from '../../finetuning/metrics/index.js'
import type { RunResult, Scores } from '../../finetuning/run/run.js'
import type { FinishedRun } from './collectRuns.js'
import type { Series } from './series.js'

type Evaluations = Pick<RunResult, 'best' | 'last' | 'kept'>

/** Runs of versions without `kept` kept the best step if there was one. */
export const savedStep = ({ best, last, kept }: Evaluations): number => kept?.step ?? best?.step ?? last.step

const savedScores = (result: Evaluations): Scores => {
  const { best, last } = result
  const step = savedStep(result)
  return best?.step === step ? best.scores : last.step === step ? last.scores : {}
}

/** null if the kept step was not evaluated, or lacks the metric */
export const savedScore = (result: Evaluations, metric: string): number | null => savedScores(result)[metric] ?? null

/** The last evaluation's score; null if it lacks the metric. */
export const lastScore = ({ last }: Pick<RunResult, 'last'>, metric: string): number | null => last.scores[metric] ?? null

/** The head is of every method, so it is counted apart. */
export const trainedParameters = ({ trainableParameters }: Pick<RunResult, 'trainableParameters'>) => {
  const { head = 0, ...others } = trainableParameters
  return { method: sum(Object.values(others)), head }
}

/** Positive if `a` is the better score. lowerIsBetter: of a custom metric, whose name does not say so */
export const compareScores = (
  { metric, lowerIsBetter = isLowerBetter(metric) }: { readonly metric: string; readonly lowerIsBetter?: boolean },
  a: number,
  b: number,
): number => (lowerIsBetter ? b - a : a - b)

export type Scored = Series & {
  /** mean of the kept scores */
  readonly score: number
}

export const scoredSeries = (series: readonly Series[]): readonly Scored[] =>
  series.flatMap((one) => {
    const scores = one.runs.flatMap(({ result }) => savedScore(result, one.metric) ?? [])
    return scores.length === 0 ? [] : [{ ...one, score: mean(scores) }]
  })

/** The best by its score, the first of equally good ones. */
const selectBest = <One extends { readonly score: number }>(
  direction: Parameters<typeof compareScores>[0],
  all: readonly One[],
): One | undefined => [...all].sort((a, b) => compareScores(direction, b.score, a.score))[0]

/** The best series of each task, in the order of the tasks. */
export const bestSeries = (series: readonly Series[]): readonly Scored[] =>
  [...group(scoredSeries(series), ({ task }) => task).values()].flatMap((ofTask) => selectBest(ofTask[0] as Scored, ofTask) ?? [])

/** The first of equally good runs. */
export const bestRun = (series: Scored): FinishedRun | null => {
  const scored = series.runs.flatMap((run) => {
    const score = savedScore(run.result, series.metric)
    return score === null ? [] : [{ run, score }]
  })
  return selectBest(series, scored)?.run ?? null
}
