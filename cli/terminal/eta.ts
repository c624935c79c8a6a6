/** The remaining time of a run, from the measured times of its steps and its evaluations. */
import type { FinetuneEvent } from '../../finetuning/run/run.js'

export type EtaEstimator = {
  readonly observe: (event: FinetuneEvent) => void
  readonly steps: () => number
  /** seconds; null after a single step, which also compiles the graph */
  readonly left: () => number | null
}

/** Evaluating an example takes a third of its time in a step, which also has a backward pass; used until an evaluation was measured. */
const evaluationShare = 1 / 3

/** @param now milliseconds */
export const etaEstimator = (now: () => number = () => performance.now()): EtaEstimator => {
  let plan = { steps: 0, stepsPerEpoch: 1, evalSteps: 1 }
  let examples = { training: 1, evaluation: 0 }
  let last = now()
  let [step, timed, stepping] = [0, -1, 0] // steps done, how many of them were timed, their milliseconds together
  let going = { due: false, done: 0, spent: 0 } // the evaluation after this step
  let example: number | null = null // milliseconds of one in the last evaluation
  const perStep = (): number => stepping / timed
  const perExample = (): number => example ?? (evaluationShare * perStep() * plan.stepsPerEpoch) / examples.training
  /** those after step `from` */
  const evaluations = (from: number): number => {
    const { steps, evalSteps: every } = plan
    return Math.floor(steps / every) - Math.floor(from / every) + (steps % every !== 0 && from < steps ? 1 : 0)
  }
  return {
    steps: () => plan.steps,
    observe: (event) => {
      const took = now() - last
      last += took
      if (event.kind === 'ready') examples = event.examples
      if (event.kind === 'start') {
        plan = event
        step = event.resumedAt
      }
      if (event.kind === 'step') {
        step = event.step
        going = { due: step === plan.steps || step % plan.evalSteps === 0, done: 0, spent: 0 }
        timed += 1
        if (timed > 0) stepping += took
      }
      if (event.kind === 'evaluating') {
        examples = { ...examples, evaluation: event.examples } // a long text is scored in parts
        going = { ...going, done: event.done, spent: going.spent + took }
        example = going.spent / going.done
      }
      if (event.kind === 'evaluation') going = { due: false, done: 0, spent: 0 }
    },
    left: () => {
      if (timed < 1) return null
      const rest = going.due ? examples.evaluation - going.done : 0
      return ((plan.steps - step) * perStep() + (evaluations(step) * examples.evaluation + rest) * perExample()) / 1000
    },
  }
}
