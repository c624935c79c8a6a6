/** The best series of a task, and the best run of a series, by the score of the checkpoint that was kept. */
import { mean } from 'simple-statistics'
import type { FinishedRun } from '../discovery/collectRuns.js'
import { compareScores, savedScore } from './savedScore.js'
import type { Series } from './series.js'

export type Scored = Series & {
  /** mean of the kept scores */
  readonly score: number
}

export const scoredSeries = (series: ReadonlyArray<Series>): ReadonlyArray<Scored> =>
  series.flatMap((one) => {
    const scores = one.runs.flatMap(({ result }) => savedScore(result, one.metric) ?? [])
    return scores.length === 0 ? [] : [{ ...one, score: mean(scores) }]
  })

/** The best series of each task, in the order of the tasks. */
export const bestSeries = (series: ReadonlyArray<Series>): ReadonlyArray<Scored> => {
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
