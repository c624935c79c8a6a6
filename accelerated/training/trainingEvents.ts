/** What training is given, and what it tells: the task, the events of a run in their order, and its result. */
import type { EncoderConfig } from '../models/encoderConfig.js'
import type { TensorSource } from '../models/encoder.js'
import type { SessionSettings } from '../runtime/session.js'
import type { Settings } from '../settings.js'
import type { RunState } from './runState.js'
import type { GateSteps } from './schedule.js'
import type { LabelledExample } from './trainFeeds.js'

export type TrainingTask = {
  readonly config: EncoderConfig
  readonly frozen: TensorSource
  readonly session: SessionSettings
  readonly settings: Settings
  readonly training: ReadonlyArray<LabelledExample>
  readonly evaluation: ReadonlyArray<LabelledExample>
  /** Scores of the evaluation's outputs ([labels] an example), and the one number by which checkpoints compare (greater is better). */
  readonly score: (outputs: ReadonlyArray<ReadonlyArray<number>>) => Scored
  /** also evaluate before the first step: what training starts from */
  readonly evaluateStart?: boolean
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
  readonly orthogonality: number | null
  /** C(Θ) before the step; null where no gates are sampled */
  readonly density: number | null
  readonly lambda: number | null
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
      readonly gates: GateSteps
      readonly resumedAt: number
    }
  | StepReport
  | ({
      readonly kind: 'evaluation'
      readonly step: number
      readonly epoch: number
      readonly eligible: boolean
      readonly best: boolean
    } & Scored)
  | { readonly kind: 'retained'; readonly step: number; readonly retained: NonNullable<RunState['retained']> }
  /** the state after this step: save it to resume from it */
  | ({ readonly kind: 'checkpoint'; readonly state: RunState } & Carried)

/** The state whose evaluation was the best among those that satisfy the budget. */
export type BestState = {
  readonly state: RunState
  readonly step: number
  readonly selection: number
  readonly scores: Readonly<Record<string, number>>
}

/** What the result says besides the last state; a run that is resumed after its last step has no other source for it. */
export type Carried = {
  readonly best: BestState | null
  /** the last evaluation: an interrupted run may have gone on after it */
  readonly lastEvaluation: { readonly step: number; readonly scores: Readonly<Record<string, number>> } | null
  /** ‖BᵀB − I‖² + ‖AAᵀ − I‖² by matrix, in the last step; empty where the method has no such term */
  readonly orthogonality: Readonly<Record<string, number>>
}

export type TrainingResult = Carried & { readonly last: RunState; readonly interrupted: boolean }
