/**
 * Parts that may be computed anywhere. The gradient of a part of a step starts from a sum of zero, has the same bits on every machine of a kind, and the
 * parts add up to the step's. The batches of an evaluation are parts too: their outputs travel as one vector.
 */
import type { FloatType } from '../graph/expression.js'
import type { TrainingProgress } from '../methods/method.js'
import type { Results } from '../engines/engine.js'
import { blockOutput, type ParameterLayout } from '../parameters/layout.js'
import type { RunState } from '../parameters/runState.js'
import { zeros, type Vector } from '../parameters/vectors.js'
import type { MicroBatchSessions } from './phaseSessions.js'
import { blockFeeds, collect, resultsInto } from './stateBuffers.js'
import type { PartFeeds } from './microBatchFeeds.js'

export type MicroBatchGradient = {
  /** [layout.size], in the precision's dtype */
  readonly gradient: Vector
  readonly tokens: number
  /** the losses of the part, and what the method reports */
  readonly results: Results
}

/** What a part's gradient follows from, beside the run's settings, model and data. */
export type MicroBatchSource = Pick<RunState, 'step' | 'phase' | 'parameters'> & { readonly progress: TrainingProgress }

/** A step whose parts may be computed anywhere. */
export type SpreadStep = MicroBatchSource & {
  readonly layout: ParameterLayout
  /** the number of parts */
  readonly parts: number
  /** Computes the part with this number here. */
  readonly compute: (part: number) => Promise<MicroBatchGradient>
  /** Whether outputs of an evaluation have the form of their batch. Absent: any of the step's size has. */
  readonly fits?: (part: number, computed: MicroBatchGradient) => boolean
}

/** Finds the gradients of all parts, in the order of their numbers. */
export type PartExecutor = (step: SpreadStep) => Promise<readonly MicroBatchGradient[]>

export const microBatchGradient = async (
  { layout, add }: Pick<MicroBatchSessions, 'layout' | 'add'>,
  parameters: Vector,
  { feeds, tokens }: PartFeeds,
  dtype: FloatType,
): Promise<MicroBatchGradient> => {
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
export const sumGradients = (
  gradients: readonly Pick<MicroBatchGradient, 'gradient'>[],
  { size }: ParameterLayout,
  dtype: FloatType,
): Vector => {
  const sum = zeros(size, dtype)
  for (const { gradient } of gradients) for (let i = 0; i < size; i++) sum[i] = (sum[i] as number) + (gradient[i] as number)
  return sum
}

/** The outputs of one batch of an evaluation. */
export type BatchOutputs = { readonly results: Results; readonly tokens: number }

/** Finds the outputs of all batches, with their numbers, in any order. */
export type BatchExecutor = (batches: {
  readonly count: number
  readonly compute: (batch: number) => Promise<BatchOutputs>
  /** Whether these outputs have a finite answer for each row. */
  readonly fits: (batch: number, results: Results) => boolean
}) => AsyncIterable<readonly [batch: number, results: Results]>

/**
 * An evaluation whose batches are the parts. The phase and the parameters are those of inference, and outputs fit that have a finite answer for each
 * example of the batch.
 */
export type SpreadEvaluation = Omit<Required<SpreadStep>, 'layout'>

/** Finds the outputs of all batches, with their numbers, in any order. */
export type AnswersExecutor = (evaluation: SpreadEvaluation) => AsyncIterable<readonly [part: number, outputs: MicroBatchGradient]>

/** The outputs one after another; `results` has how many numbers each one has. */
export const answerMicroBatch = ({ tokens, results }: BatchOutputs, dtype: FloatType): MicroBatchGradient => {
  const entries = Object.entries(results)
  const gradient = zeros(
    entries.reduce((sum, [, { length }]) => sum + length, 0),
    dtype,
  )
  let at = 0
  for (const [, numbers] of entries) for (const x of numbers) gradient[at++] = Number(x)
  return { gradient, tokens, results: Object.fromEntries(entries.map(([name, { length }]) => [name, Float64Array.of(length)])) }
}

/** The outputs of a part by name. */
export const splitOutputs = ({ gradient, results }: MicroBatchGradient): Results => {
  let at = 0
  return Object.fromEntries(
    Object.entries(results).map(([name, [length]]) => {
      at += Number(length)
      return [name, gradient.subarray(at - Number(length), at)]
    }),
  )
}

/** Batches of a predictor, computed by `execute`. */
export const spreadBatches = (execute: AnswersExecutor, source: MicroBatchSource, dtype: FloatType): BatchExecutor =>
  async function* ({ count, compute, fits }) {
    const parts = execute({
      ...source,
      parts: count,
      compute: async (batch) => answerMicroBatch(await compute(batch), dtype),
      fits: (batch, outputs) => fits(batch, splitOutputs(outputs)),
    })
    for await (const [batch, outputs] of parts) yield [batch, splitOutputs(outputs)]
  }
