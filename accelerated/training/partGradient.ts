/** The gradient of one part of a step, from a sum of zero. It has the same bits on every machine of a kind, and the parts add up to the step's. */
import type { FloatType } from '../graph/expression.js'
import type { TrainingProgress } from '../methods/method.js'
import type { Results } from '../engines/engine.js'
import { blockOutput, type ParameterLayout } from '../parameters/layout.js'
import type { RunState } from '../parameters/runState.js'
import { zeros, type Vector } from '../parameters/vectors.js'
import type { PartSessions } from './phaseSessions.js'
import { blockFeeds, collect, resultsInto } from './stateBuffers.js'
import type { PartFeeds } from './stepParts.js'

export type PartGradient = {
  /** [layout.size], in the precision's dtype */
  readonly gradient: Vector
  readonly tokens: number
  /** the losses of the part, and what the method reports */
  readonly results: Results
}

/** What a part's gradient follows from, beside the run's settings, model and data. */
export type PartSource = Pick<RunState, 'step' | 'phase' | 'parameters'> & { readonly progress: TrainingProgress }

/** A step whose parts may be computed anywhere. */
export type SpreadStep = PartSource & {
  readonly layout: ParameterLayout
  /** the number of parts */
  readonly parts: number
  /** Computes the part with this number here. */
  readonly compute: (part: number) => Promise<PartGradient>
  /** Whether outputs of an evaluation have the form of their batch. Absent: any of the step's size has. */
  readonly fits?: (part: number, computed: PartGradient) => boolean
}

/** Finds the gradients of all parts, in the order of their numbers. */
export type PartExecutor = (step: SpreadStep) => Promise<readonly PartGradient[]>

export const partGradient = async (
  { layout, add }: Pick<PartSessions, 'layout' | 'add'>,
  parameters: Vector,
  { feeds, tokens }: PartFeeds,
  dtype: FloatType,
): Promise<PartGradient> => {
  const gradient = zeros(layout.size, dtype)
  const buffers = { gradientSum: gradient }
  const state = blockFeeds(layout, 'parameters', parameters, dtype)
  const sum = blockFeeds(layout, 'gradientSum', zeros(layout.size, dtype), dtype)
  const outputs = await add.run({ ...state, ...sum, ...feeds }, resultsInto(layout, buffers))
  collect(layout, buffers, outputs)
  const blocks = new Set(layout.blocks.map((block) => blockOutput('gradientSum', block)))
  return { gradient, tokens, results: Object.fromEntries(Object.entries(outputs).filter(([name]) => !blocks.has(name))) }
}

/** ((0 + g₁) + g₂) + …, as a chain of `add` graphs has it: one rounding an addition. */
export const sumOfGradients = (
  gradients: readonly Pick<PartGradient, 'gradient'>[],
  { size }: ParameterLayout,
  dtype: FloatType,
): Vector => {
  const sum = zeros(size, dtype)
  for (const { gradient } of gradients) for (let i = 0; i < size; i++) sum[i] = (sum[i] as number) + (gradient[i] as number)
  return sum
}
