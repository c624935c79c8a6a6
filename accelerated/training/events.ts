/** The input and the output of training: the task, the events of a run in their order, and its result. */
import type { Measures } from '../methods/method.js'
import type { Examples } from '../models/packing.js'
import type { Objective, TrainingExample } from '../objectives/objective.js'
import type { InferenceState, RunProgress, RunState } from '../parameters/runState.js'
import type { Assembly } from './assembly.js'
import type { PartExecutor, AnswersExecutor } from './microBatchGradient.js'
import type { Runtime } from './phaseSessions.js'

export type TrainingTask<E extends TrainingExample = TrainingExample, O = unknown> = Omit<Assembly, 'objective'> & {
  readonly objective: Objective<E, O>
  readonly runtime: Runtime
  readonly training: Examples<E>
  readonly evaluation: Examples<E>
  /** Scores of the evaluation's answers, and the number that selects the best checkpoint (greater is better). */
  readonly score: (answers: readonly O[]) => Scored
  /** steps of the run by which the method planned its phases, if the run was extended since */
  readonly plannedSteps?: number
  /** Answers to the evaluation's examples by step, instead of the model's: those of cross-validation. Absent: the model answers. */
  readonly answersByStep?: ReadonlyMap<number, readonly O[]>
  /** who computes the gradients of a step's parts; absent: this process, one after another */
  readonly executor?: PartExecutor
  /** who computes the batches of an evaluation; absent: this process */
  readonly answers?: AnswersExecutor
  /** also evaluate before the first step; as a candidate, the start may be the best step */
  readonly evalOnStart?: boolean | 'candidate'
  /** Generates texts with a state after its evaluation. Yields how many are done; null: the signal stopped it. Absent: none are generated. */
  readonly sample?: (inference: InferenceState, signal: AbortSignal) => AsyncGenerator<number, readonly Sample[] | null>
}

/** A text that the model generated. prompt: as the user wrote it · ended: why the text ended */
export type Sample = { readonly prompt: unknown; readonly text: string; readonly tokens: number; readonly ended: string }

export type Scored = {
  readonly scores: Readonly<Record<string, number>>
  readonly selection: number
  /** the class that the model predicts for every example; null where predictions differ */
  readonly constant: string | null
  /** what else the caller's scoring says of the answers; the loop passes it on with the evaluation */
  readonly details?: unknown
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
      /** steps between evaluations */
      readonly evalSteps: number
      /** epochs that were chosen for the size of the data; null: the settings name epochs or steps */
      readonly chosenEpochs: number | null
      /** the name of the first phase; null where the method has only one */
      readonly stage: string | null
      /** the method's line about the phases to come */
      readonly announcement: string | null
    }
  | StepReport
  /** expected ranks by matrix while the method searches for them, at most a hundred times a run */
  | { readonly kind: 'ranks'; readonly step: number; readonly ranks: Readonly<Record<string, number>> }
  /** progress of an evaluation: examples done */
  | { readonly kind: 'evaluating'; readonly step: number; readonly done: number; readonly examples: number }
  | ({
      readonly kind: 'evaluation'
      readonly step: number
      readonly epoch: number
      /** whether the step can be the best one: SaLoRA's cannot before pruning */
      readonly eligible: boolean
      readonly best: boolean
    } & Scored)
  /** progress of sampling: texts done */
  | { readonly kind: 'sampling'; readonly step: number; readonly done: number }
  /** after an evaluation: the texts of its state */
  | { readonly kind: 'samples'; readonly step: number; readonly samples: readonly Sample[] }
  /** the method entered a new phase after this step */
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
  /** the last state without gate noise, for the export */
  readonly inference: InferenceState
  readonly interrupted: boolean
  /** the last `earlyStoppingPatience` evaluations brought no improvement */
  readonly stoppedEarly: boolean
}
