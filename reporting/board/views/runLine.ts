/** A run as a line of a list. Names are escaped here; numbers are those of the run's files. */
import { escapeText } from '../../charts/escapeText.js'
import { metricOf, taskName } from '../../charts/series.js'
import type { RunLine } from '../events.js'
import type { WatchedRun } from '../watchRun.js'

export const runLine = (run: WatchedRun): RunLine => {
  const { config, result, metrics } = run
  return {
    id: run.id,
    name: escapeText(run.name),
    task: config === null ? null : taskName(config),
    method: config === null ? null : escapeText(String(config.settings.method)),
    sweep: run.sweep,
    status: run.status,
    reason: run.reason === null ? null : escapeText(run.reason),
    step: result?.stepsDone ?? metrics.step,
    steps: run.steps,
    secondsLeft: run.secondsLeft,
    loss: metrics.loss,
    score: scoreOf(run),
    tokensPerSecond: metrics.tokensPerSecond,
  }
}

/** The metric that selects the best checkpoint, or the task's own metric. */
const scoreOf = ({ config, result, metrics }: WatchedRun): RunLine['score'] => {
  const { best, last } = result ?? metrics
  const scores = best?.scores ?? last?.scores ?? {}
  if (Object.keys(scores).length === 0) return null
  const selectedBy = result?.selectedBy
  const metric = selectedBy !== undefined && selectedBy in scores ? selectedBy : metricOf(config === null ? '' : taskName(config), scores)
  const value = scores[metric]
  return typeof value === 'number' ? { metric: escapeText(metric), value, evaluation: best === null ? 'last' : 'best' } : null
}
