/** Numerical accidents: what must end a run instead of going into its checkpoints and its result. */
import type { RunState, Vectors } from './runState.js'
import type { GateSteps } from './schedule.js'
import type { StepReport } from './trainingEvents.js'
import type { LabelledExample } from './trainFeeds.js'

/** Ends a run; its message is one line, without the run's folder, which training does not know. */
export class TrainingError extends Error {}

/**
 * Loss, gradient and the parameters that the step leaves are finite. The norm is that of W's gradient; a gradient of Θ or λ that is not
 * finite shows in their parameters. @param rows of the batch @throws TrainingError naming the step and the rows
 */
export const checkStep = (
  { step, loss, gradientNorm }: Pick<StepReport, 'step' | 'loss' | 'gradientNorm'>,
  { parameters }: Pick<Vectors, 'parameters'>,
  rows: ReadonlyArray<number>,
): void => {
  const batch = `the batch is rows ${rows.join(', ')}`
  if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
    throw new TrainingError(
      `step ${step}: expected a finite loss and gradient, found loss ${loss} and gradient norm ${gradientNorm}; ${batch}`,
    )
  }
  const odd = firstOdd(parameters)
  if (odd !== null) throw new TrainingError(`step ${step}: expected finite gradients, found one that makes a parameter ${odd}; ${batch}`)
}

/** @throws TrainingError naming the step and the row of the first example whose outputs are not finite */
export const checkOutputs = (
  step: number,
  outputs: ReadonlyArray<ReadonlyArray<number>>,
  examples: ReadonlyArray<LabelledExample>,
): void => {
  const at = outputs.findIndex((output) => !output.every(Number.isFinite))
  if (at >= 0)
    throw new TrainingError(
      `step ${step}: expected finite outputs in the evaluation, found ${outputs[at]?.join(', ')} for row ${examples[at]?.row}`,
    )
}

/** A run of the method with gates is done only when they were sampled in every step of their window and retained at its end. */
export const checkGatesRan = (gates: GateSteps, { gatedStep, retained }: Pick<RunState, 'gatedStep' | 'retained'>): void => {
  if (gates === null) return
  const expected = gates.end - gates.start
  if (gatedStep === expected && expected > 0 && retained !== null) return
  throw new TrainingError(
    `the run's end: expected ${expected} steps with sampled gates and retention after them, found ${gatedStep} and ${retained === null ? 'none' : 'retention'}: nothing was pruned by them`,
  )
}

/** The first number that is not finite; null where all are. A loop, because it is asked of millions each step. */
const firstOdd = (values: ArrayLike<number>): number | null => {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return values[i] ?? NaN
  return null
}
