/** What a run carries from step to step, and what it has achieved so far: all that a checkpoint saves. */
import type { Vector, Vectors } from './vectors.js'

export type RunState = Vectors & {
  /** steps done */
  readonly step: number
  /** the method's phase, as JSON */
  readonly phase: unknown
}

/** The part of a state that evaluation, prediction and export use: the model without gate noise. */
export type InferenceState = { readonly phase: unknown; readonly parameters: Vector }

/** The best evaluation so far, and the state that it evaluated. */
export type BestCheckpoint = InferenceState & {
  readonly step: number
  readonly selection: number
  readonly scores: Readonly<Record<string, number>>
}

/** The results so far. A run that resumes after its last step knows them only from its checkpoint. */
export type RunProgress = {
  readonly best: BestCheckpoint | null
  /** eligible evaluations since the best one; absent: none */
  readonly sinceBest?: number | undefined
  /** the last evaluation; an interrupted run may have trained on after it */
  readonly lastEvaluation: { readonly step: number; readonly scores: Readonly<Record<string, number>> } | null
  /** what the last step measured, by measure and matrix; empty where the method measures nothing */
  readonly byMatrix: Readonly<Record<string, Readonly<Record<string, number>>>>
}
