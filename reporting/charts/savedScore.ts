/** The score of the checkpoint that a run kept in adapter/: the number that its user gets. */
import { isLowerBetter } from '../../finetuning/metrics/index.js'
import type { RunResult, Scores } from '../../finetuning/runs/run.js'

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

/** Positive if `a` is the better score. lowerIsBetter: of a custom metric, whose name does not say so */
export const compareScores = (
  { metric, lowerIsBetter = isLowerBetter(metric) }: { readonly metric: string; readonly lowerIsBetter?: boolean },
  a: number,
  b: number,
): number => (lowerIsBetter ? b - a : a - b)
