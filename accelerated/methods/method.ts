/** A method of fine-tuning: which tensors it trains, how they take part in the model, what it adds to the loss, and its phases. */
import type { z } from 'zod'
import type { Expression, FloatType } from '../graph/expression.js'
import type { ModelSpec, HookPoint } from '../models/architecture.js'
import type { TensorSource, Wrap } from '../models/host.js'
import type { VirtualTokens } from '../models/packing.js'
import type { SettingTable } from '../settings/setting.js'
import { SettingsError } from '../errors/settingsError.js'
import type { ParameterLayout, Trainable } from '../parameters/layout.js'
import type { Vector, Vectors } from '../parameters/vectors.js'
import type { OptimizerExtension } from '../parameters/optimizerExtension.js'

/** Where a run stands: steps done, and steps of the whole; of a run that was made longer, of the whole by which its phases were planned. */
export type TrainingProgress = { readonly step: number; readonly steps: number }

/** What a method adds to the task's loss, and outputs of the step that tell of it. */
export type Penalty = { readonly value: Expression; readonly report: Readonly<Record<string, Expression>> }

/** Feeds of one step by name: one number, or a vector. */
export type Controls = Readonly<Record<string, number | Float64Array>>

/** How vectors go from one phase's layout to another's. */
export type LayoutContext<P> = { readonly vectors: Vectors; readonly layoutOf: (phase: P) => ParameterLayout; readonly dtype: FloatType }

/** A new phase, with what to tell of it. */
export type Transition<P> = {
  readonly phase: P
  readonly vectors: Vectors
  /** its name and its numbers, for metrics.jsonl; null where there is nothing to tell */
  readonly event: { readonly name: string; readonly line: string; readonly facts: Readonly<Record<string, unknown>> } | null
}

/** What a step measured beside its losses: a column each of metrics.jsonl and of the progress bar, and numbers by matrix for the result. */
export type Measures = {
  readonly columns: Readonly<Record<string, number | null>>
  readonly byMatrix: Readonly<Record<string, Readonly<Record<string, number>>>>
}

/** A column in the progress bar. */
export type Column = { readonly name: string; readonly label: string; readonly digits: number }

/**
 * S: its settings. P: its phase, which is JSON and stored in every checkpoint. Declared with methods, so that a table of methods of
 * different S and P is one type: whoever calls one gives it settings that its own table has read and a phase that it made itself.
 */
export interface Method<S = unknown, P = unknown> {
  readonly name: string
  /** one line for --help and README */
  readonly summary: string
  readonly settings: SettingTable
  readonly phase: z.ZodType<P>
  /** whether every tensor of the model is trained: a head that it brings is then, too */
  readonly trainsAll?: boolean
  /** settings that belong together, by a name for --preset */
  readonly presets?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Settings that contradict each other or the run, whose steps are null until its data are known. @throws SettingsError */
  check?(settings: S, steps: number | null): void
  /** @throws SettingsError where this model cannot carry the method */
  start(outline: ModelSpec, settings: S): P
  tensors(phase: P, settings: S): ReadonlyArray<Trainable>
  wrap(phase: P, settings: S, parameter: TensorSource): Wrap
  virtualTokens?(settings: S): VirtualTokens
  penalty?(phase: P, settings: S, parameter: TensorSource): Penalty | null
  memory?(phase: P, settings: S): OptimizerExtension
  controls?(phase: P, settings: S, clock: TrainingProgress): Controls
  /** Asked before each step and after the last: a new phase, or null to go on in this one. */
  advance?(phase: P, settings: S, clock: TrainingProgress, state: LayoutContext<P>): Transition<P> | null
  /** The function without its randomness, as plain tensors: what is evaluated, predicted with and handed over. */
  deterministic?(
    phase: P,
    settings: S,
    parameters: Vector,
    state: Omit<LayoutContext<P>, 'vectors'>,
  ): { readonly phase: P; readonly parameters: Vector }
  /** Whether a state of this phase can be the run's best: one that does not keep to the budget yet cannot. */
  eligible?(phase: P): boolean
  /** Why a run that took all of its steps was none; null where it was one. */
  unfinished?(phase: P, settings: S, clock: TrainingProgress): string | null
  /** what a phase of the run can never be, for a checkpoint that claims to be one; null where it fits */
  validatePhase?(phase: P, start: P, clock: TrainingProgress): { readonly expected: string; readonly found: string } | null
  readonly columns?: ReadonlyArray<Column>
  measures?(phase: P, report: (name: string) => ArrayLike<number> | undefined, parameter: (name: string) => ArrayLike<number>): Measures
  /** Ranks by matrix while they are being found, after a step: expected ones are no whole numbers. null where they are given or found. */
  expectedRanks?(phase: P, settings: S, parameter: (name: string) => ArrayLike<number>): Readonly<Record<string, number>> | null
  /** what the phase is called where people look; absent: training */
  stage?(phase: P): string
  /** one line of the phases that are to come */
  announce?(phase: P, settings: S, clock: TrainingProgress): string | null
  /** what a user should know before waiting for it */
  warnings?(settings: S, clock: TrainingProgress): ReadonlyArray<string>
  /** numbers that count as the method's own, and others worth telling apart (gates) */
  counts?(phase: P, settings: S): Readonly<Record<string, number>>
  /** the layout in which its adapter is saved: a name of formats/index.ts */
  readonly format: string
  /** A base tensor with the method inside, or null where the method leaves it alone. Absent: a method that no base tensor can take in. */
  merge?(
    phase: P,
    settings: S,
    name: string,
    tensor: () => ArrayLike<number>,
    trained: (name: string) => ArrayLike<number>,
  ): ArrayLike<number> | null
  /** its part of result.json */
  result?(phase: P, settings: S): Readonly<Record<string, unknown>>
}

/** Which methods add there. */
const methodsAt: Readonly<Record<HookPoint, ReadonlyArray<string>>> = {
  sublayer: ['houlsby', 'pfeiffer'],
  keyValue: ['prefix'],
  embedded: ['prompt'],
}

/** @throws SettingsError where this family carries no method of that place */
export const checkHookSupported = ({ supportedHooks }: ModelSpec, place: HookPoint, method: string): void => {
  if (supportedHooks.includes(place)) return
  const others = ['salora', 'lora', 'adalora', ...supportedHooks.flatMap((own) => methodsAt[own])]
  throw new SettingsError('method', `${others.join(', ')} or full on a model of this family`, method)
}
