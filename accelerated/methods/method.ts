/** A method of fine-tuning: what it trains, its phases, its reports and its export. A new method is one file of this type and one line in index.ts. */
import type { z } from 'zod'
import type { Outputs, Expression, FloatType } from '../graph/expression.js'
import type { ModelSpec, HookPoint } from '../models/architecture.js'
import type { TensorSource, Wrap } from '../models/host.js'
import type { VirtualTokens } from '../models/packing.js'
import type { SettingTable } from '../settings/setting.js'
import type { ParameterLayout, Trainable, OptimizerExtension } from '../parameters/layout.js'
import type { Vector, Vectors } from '../parameters/vectors.js'

/** Rows of one table: the word embeddings, or a decoder's output matrix if that is another. */
export type TokenRows = {
  /** the table's canonical name, and its shape in the files */
  readonly table: string
  readonly shape: readonly [rows: number, width: number]
  /** Ids of the tokens, ascending. Those from the table's end on follow it without a gap. */
  readonly ids: readonly number[]
  /** ids from here on are new tokens */
  readonly newFrom: number
  /** the rows before training: [ids.length, width] */
  readonly initial: ArrayLike<number>
}

/** Steps done, and steps of the run by which the phases were planned (an extended run keeps its plan). */
export type TrainingProgress = { readonly step: number; readonly steps: number }

/** A term that a method adds to the task's loss, and outputs of the step that describe it. */
export type Penalty = { readonly value: Expression; readonly report: Outputs }

/** Feeds of one step by name: a number, or a vector. */
export type Controls = Readonly<Record<string, number | Float64Array>>

/** The vectors of a state, and the layout of each phase that they may move to. */
export type LayoutContext<P> = { readonly vectors: Vectors; readonly buildLayout: (phase: P) => ParameterLayout; readonly dtype: FloatType }

/** A new phase, the state's vectors in its layout, and the event that reports it. */
export type Transition<P> = {
  readonly phase: P
  readonly vectors: Vectors
  /** its name, a line to print, and its numbers for metrics.jsonl; null: nothing to report */
  readonly event: { readonly name: string; readonly line: string; readonly facts: Readonly<Record<string, unknown>> } | null
}

/** What a step measured beside its losses: columns of metrics.jsonl and of the progress bar, and numbers by matrix for the result. */
export type Measures = {
  readonly columns: Readonly<Record<string, number | null>>
  readonly byMatrix: Readonly<Record<string, Readonly<Record<string, number>>>>
}

/** A column in the progress bar. */
type Column = { readonly name: string; readonly label: string; readonly digits: number }

/** The numbers of a trained tensor, or of an output of the step. */
type Numbers = (name: string) => ArrayLike<number>

/** The training of a phase: tensors, their part in the model and in the loss, the feeds of a step, the optimizer's extension. */
export interface MethodTraining<S, P> {
  /** whether every tensor of the model is trained, its own head included */
  readonly trainsAll?: boolean
  /** the hook of the host that the model must support; absent: every model does */
  readonly hook?: HookPoint
  tensors(phase: P, settings: S): readonly Trainable[]
  wrap(phase: P, settings: S, parameter: TensorSource): Wrap
  /** What the model without the method has of it: new tokens, with their rows before training. Absent: nothing. */
  readonly baseWrap?: Wrap
  virtualTokens?(settings: S): VirtualTokens
  penalty?(phase: P, settings: S, parameter: TensorSource): Penalty | null
  optimizerExtension?(phase: P, settings: S): OptimizerExtension
  controls?(phase: P, settings: S, progress: TrainingProgress): Controls
}

/** The phases of a run. A phase is JSON, and every checkpoint stores it. */
export interface MethodPhases<S, P> {
  readonly schema: z.ZodType<P>
  /** The first phase. @throws SettingsError if the model does not support the settings */
  start(spec: ModelSpec, settings: S): P
  /** The next phase, or null to stay in this one. Called before each step and after the last. */
  advance?(phase: P, settings: S, progress: TrainingProgress, context: LayoutContext<P>): Transition<P> | null
  /** The model without gate noise, as plain tensors, for evaluation and export. Absent: the state itself. */
  inference?(
    phase: P,
    settings: S,
    parameters: Vector,
    context: Omit<LayoutContext<P>, 'vectors'>,
  ): { readonly phase: P; readonly parameters: Vector }
  /** Whether a state of this phase can be the best one. Absent: always. */
  isEligible?(phase: P): boolean
  /** Why the method's work is incomplete after the last step; null if it is complete. */
  unfinished?(phase: P, settings: S, progress: TrainingProgress): string | null
  /** Why a checkpoint's phase cannot be one of this run; null if it can. */
  validate?(phase: P, start: P, progress: TrainingProgress): { readonly expected: string; readonly got: string } | null
}

/** The printed, logged and stored values of a run of the method. */
export interface MethodReporting<S, P> {
  readonly columns?: readonly Column[]
  measures?(phase: P, report: (name: string) => ArrayLike<number> | undefined, parameter: Numbers): Measures
  /** Expected ranks by matrix, not whole numbers, while the method searches for them; null before and after. */
  expectedRanks?(phase: P, settings: S, parameter: Numbers): Readonly<Record<string, number>> | null
  /** the name of the phase for people; absent: training */
  stage?(phase: P): string
  /** one line about the phases to come */
  announce?(phase: P, settings: S, progress: TrainingProgress): string | null
  /** problems that a user should know before the run */
  warnings?(settings: S, progress: TrainingProgress): readonly string[]
  /** trained parameters: those of the adapter, and others counted separately (gates) */
  parameterCounts?(phase: P, settings: S): Readonly<Record<string, number>>
  /** the method's part of result.json */
  result?(phase: P, settings: S): Readonly<Record<string, unknown>>
}

/** How the result leaves salora. */
interface MethodExport<S, P> {
  /** the layout in which the adapter is saved: a name of formats/index.ts */
  readonly format: string
  /** A base tensor with the adapter merged, or null if the adapter does not change it. Absent: no base tensor can hold the adapter. */
  merge?(phase: P, settings: S, name: string, tensor: () => ArrayLike<number>, trained: Numbers): ArrayLike<number> | null
}

/**
 * S: its settings. P: its phase. The members are declared as methods, so that a table of methods of different S and P has one type. A caller gives
 * each method only settings that its own table parsed, and phases that it made itself.
 */
export interface Method<S = unknown, P = unknown> {
  readonly name: string
  /** one line for --help and README */
  readonly summary: string
  readonly settings: SettingTable
  /** settings that belong together, by a name for --preset */
  readonly presets?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Validates settings against each other, and against the steps of the run once its data are known (null before). @throws SettingsError */
  check?(settings: S, steps: number | null): void
  readonly train: MethodTraining<S, P>
  readonly phases: MethodPhases<S, P>
  readonly reporting?: MethodReporting<S, P>
  readonly export: MethodExport<S, P>
  /** rows of word embeddings that are trained too (trainedTokens.ts); absent: none */
  readonly tokens?: readonly TokenRows[]
}
