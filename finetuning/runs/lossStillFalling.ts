/** Whether a run ended too early: its loss on the evaluation data was still falling. */
import type { FinetuneEvent } from './run.js'

type Evaluation = Extract<FinetuneEvent, { readonly kind: 'evaluation' }>
export type Moment = { readonly step: number; readonly loss: number }

/** A fall of less than this fraction in the last third of a run promises little. */
const noticeable = 0.05

/**
 * The last evaluation and the one two thirds of the way, if the loss is the lowest of all and fell noticeably in between.
 * @param evaluations of a run that was not stopped, in their order @returns null if the loss had settled, or if there are too few evaluations
 */
export const lossStillFalling = (
  evaluations: ReadonlyArray<Pick<Evaluation, 'step' | 'scores'>>,
): { readonly from: Moment; readonly to: Moment } | null => {
  const moments = evaluations.flatMap(({ step, scores: { loss } }) => (step > 0 && loss !== undefined ? [{ step, loss }] : []))
  const to = moments.at(-1)
  const from = moments.findLast(({ step }) => to !== undefined && 3 * step <= 2 * to.step)
  if (to === undefined || from === undefined || moments.some(({ loss }) => loss < to.loss)) return null
  return to.loss < (1 - noticeable) * from.loss ? { from, to } : null
}
