/** Scores of runs: that of the checkpoint in adapter/, which is the number that a user gets, and the best series and run by it. */
import { mean } from 'simple-statistics'
import { isLowerBetter } from '../../finetuning/metrics/index.js'
import type { RunResult, Scores } from '../../finetuning/run/run.js'
import type { FinishedRun } from './collectRuns.js'
import type { Series } from './series.js'

type Evaluations = Pick<RunResult, 'best' | 'last' | 'kept'>

/** Runs of versions without `kept` kept the best step if there was one. */
export const keptStep = ({ best, last, kept }: Evaluations): number => kept?.step ?? best?.step ?? last.step

const savedScores = (result: Evaluations): Scores => {
  const { best, last } = result
  const step = keptStep(result)
  return best?.step === step ? best.scores : last.step === step ? last.scores : {}
}

/** null if the kept step was not evaluated, or lacks the metric */
export const savedScore = (result: Evaluations, metric: string): number | null => savedScores(result)[metric] ?? null

/** The last evaluation's score; null if it lacks the metric. */
export const lastScore = ({ last }: Pick<RunResult, 'last'>, metric: string): number | null => last.scores[metric] ?? null

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

/** The best series of each task, in the order of the tasks. */
export const bestSeries = (series: readonly Series[]): readonly Scored[] => {
  const best = new Map<string, Scored>()
  for (const one of scoredSeries(series)) {
    const before = best.get(one.task)
    if (before === undefined || compareScores(one, one.score, before.score) > 0) best.set(one.task, one)
  }
  return [...best.values()]
}

/** The first of equally good runs. */
export const bestRun = (series: Scored): FinishedRun | null => {
  const { runs, metric } = series
  const scored = runs.flatMap((run) => {
    const score = savedScore(run.result, metric)
    return score === null ? [] : [{ run, score }]
  })
  return (
    scored.reduce<(typeof scored)[number] | null>(
      (best, one) => (best === null || compareScores(series, one.score, best.score) > 0 ? one : best),
      null,
    )?.run ?? null
  )
}
