/** Numerical accidents: what must end a run instead of going into its checkpoints and its result. */
import { TrainingError } from '../errors/trainingError.js'
import type { Examples } from '../models/packing.js'
import type { TrainingExample } from '../objectives/objective.js'
import type { StepReport } from './events.js'
import type { ParameterLayout } from '../parameters/layout.js'
import type { Vector } from '../parameters/vectors.js'

/** A norm that is finite says the same of every gradient of W, so that only a small state is looked through number by number: 12 ms for 5.4 million. */
const lookedThrough = 1 << 20

/**
 * Loss, gradient and the parameters that the step leaves are finite. The norm is that of W's gradient; a gradient of Θ or λ that is not
 * finite shows in their parameters. @param examples of the batch @throws TrainingError naming the step and the rows
 */
export const checkStep = (
  { step, loss, gradientNorm }: Pick<StepReport, 'step' | 'loss' | 'gradientNorm'>,
  { blocks, size }: Pick<ParameterLayout, 'blocks' | 'size'>,
  { parameters }: { readonly parameters: Vector },
  examples: ReadonlyArray<Pick<TrainingExample, 'row'>>,
): void => {
  const batch = `the batch is rows ${examples.map(({ row }) => row).join(', ')}`
  if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
    throw new TrainingError(
      `step ${step}: expected a finite loss and gradient, got loss ${loss} and gradient norm ${gradientNorm}; ${batch}`,
    )
  }
  for (const block of blocks) {
    if (block.group.isWeight && size >= lookedThrough) continue
    const odd = firstOdd(parameters.subarray(block.offset, block.offset + block.size))
    if (odd !== null) throw new TrainingError(`step ${step}: expected finite gradients, got one that makes a parameter ${odd}; ${batch}`)
  }
}

/** @throws TrainingError naming the step and the row of the first example whose answer is not finite */
export const checkAnswers = (step: number, answers: ReadonlyArray<unknown>, examples: Examples<Pick<TrainingExample, 'row'>>): void => {
  const numbersOf = (answer: unknown): ReadonlyArray<unknown> =>
    Array.isArray(answer) ? answer : typeof answer === 'object' && answer !== null ? Object.values(answer) : [answer]
  const at = answers.findIndex((answer) => !numbersOf(answer).every(Number.isFinite))
  if (at < 0) return
  const found = numbersOf(answers[at]).join(', ')
  throw new TrainingError(`step ${step}: expected finite outputs in the evaluation, got ${found} for row ${examples.at(at)?.row}`)
}

/** The first number that is not finite; null where all are. A loop, because it is asked of millions each step. */
const firstOdd = (values: ArrayLike<number>): number | null => {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return values[i] ?? NaN
  return null
}
