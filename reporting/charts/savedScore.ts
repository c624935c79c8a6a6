/** The score of the checkpoint that a run kept in adapter/: the number that its user gets. */
import { isLowerBetter } from '../../finetuning/metrics/index.js'
import type { RunResult, Scores } from '../../finetuning/runs/run.js'

/** Runs of versions without `kept` kept the best step if there was one. */
const savedScores = ({ best, last, kept }: Pick<RunResult, 'best' | 'last' | 'kept'>): Scores => {
  const step = kept?.step ?? best?.step ?? last.step
  return best?.step === step ? best.scores : last.step === step ? last.scores : {}
}

/** null if the kept step was not evaluated, or lacks the metric */
export const savedScore = (result: Pick<RunResult, 'best' | 'last' | 'kept'>, metric: string): number | null =>
  savedScores(result)[metric] ?? null

/** Positive if `a` is the better score. */
export const compareScores = (metric: string, a: number, b: number): number => (isLowerBetter(metric) ? b - a : a - b)
