/** What training is given, and what it tells: the task, the events of a run in their order, and its result. */
import type { Measures } from '../methods/method.js'
import type { Examples } from '../models/packing.js'
import type { Objective, TrainingExample } from '../objectives/objective.js'
import type { Assembly } from './assembly.js'
import type { Runtime } from './phase.js'
import type { InferenceState, RunProgress, RunState } from '../parameters/runState.js'

export type TrainingTask<E extends TrainingExample = TrainingExample, O = unknown> = Omit<Assembly, 'objective'> & {
  readonly objective: Objective<E, O>
  readonly runtime: Runtime
  readonly training: Examples<E>
  readonly evaluation: Examples<E>
  /** Scores of the evaluation's answers, and the one number by which checkpoints compare (greater is better). */
  readonly score: (answers: ReadonlyArray<O>) => Scored
  /** steps of the whole when the method planned its phases, where the run was made longer since */
  readonly plannedSteps?: number
  /** also evaluate before the first step: what training starts from */
  readonly evalOnStart?: boolean
}

export type Scored = {
  readonly scores: Readonly<Record<string, number>>
  readonly selection: number
  /** the class that every example is predicted as, where that is so */
  readonly constant: string | null
}

export type StepReport = {
  readonly kind: 'step'
  readonly step: number
  readonly epoch: number
  readonly loss: number
  readonly taskLoss: number
  /** the method's own columns: orthogonality, density, lambda */
  readonly columns: Measures['columns']
  readonly learningRate: number
  readonly gradientNorm: number
  readonly tokens: number
  readonly tokensPerSecond: number
}

export type TrainingEvent =
  | {
      readonly kind: 'start'
      readonly steps: number
      readonly stepsPerEpoch: number
      readonly resumedAt: number
      /** steps from one evaluation to the next */
      readonly evaluateEvery: number
      /** what the phase that it begins with is called; null where the method has but one */
      readonly stage: string | null
      /** what the method has to say of its phases */
      readonly announced: string | null
    }
  | StepReport
  /** ranks by matrix while they are being found, at most a hundred times a run */
  | { readonly kind: 'ranks'; readonly step: number; readonly ranks: Readonly<Record<string, number>> }
  /** an evaluation goes on: so many of its examples are done */
  | { readonly kind: 'evaluating'; readonly step: number; readonly done: number; readonly examples: number }
  | ({
      readonly kind: 'evaluation'
      readonly step: number
      readonly epoch: number
      readonly eligible: boolean
      readonly best: boolean
    } & Scored)
  /** the method's phase changed, after this step */
  | {
      readonly kind: 'phase'
      readonly step: number
      readonly name: string
      readonly line: string
      readonly facts: Readonly<Record<string, unknown>>
    }
  /** the state after this step: save it to resume from it */
  | ({ readonly kind: 'checkpoint'; readonly state: RunState } & RunProgress)

export type TrainingResult = RunProgress & {
  readonly last: RunState
  readonly handed: InferenceState
  readonly interrupted: boolean
  /** no evaluation of the last `patience` was better than the best */
  readonly stoppedEarly: boolean
}
