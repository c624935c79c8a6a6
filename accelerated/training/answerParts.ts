/** The batches of an evaluation as parts that may be computed anywhere: a batch's outputs travel as one vector, and have the same bits everywhere. */
import type { Results } from '../engines/engine.js'
import type { FloatType } from '../graph/expression.js'
import { zeros } from '../parameters/vectors.js'
import type { PartGradient, PartSource } from './partGradient.js'

export type BatchOutputs = { readonly results: Results; readonly tokens: number }

/** Finds the outputs of all batches, with their numbers, in any order. */
export type BatchExecutor = (batches: {
  readonly count: number
  readonly compute: (batch: number) => Promise<BatchOutputs>
  /** Whether these outputs have a finite answer for each row. */
  readonly fits: (batch: number, results: Results) => boolean
}) => AsyncIterable<readonly [batch: number, results: Results]>

/** An evaluation whose batches may be computed anywhere. The phase and the parameters are those of inference. */
export type SpreadEvaluation = PartSource & {
  /** the number of batches */
  readonly parts: number
  /** Computes the outputs of the batch with this number here. */
  readonly compute: (part: number) => Promise<PartGradient>
  /** Whether outputs have a finite answer for each example of the batch. */
  readonly fits: (part: number, outputs: PartGradient) => boolean
}

/** Finds the outputs of all batches, with their numbers, in any order. */
export type AnswersExecutor = (evaluation: SpreadEvaluation) => AsyncIterable<readonly [part: number, outputs: PartGradient]>

/** The outputs one after another; `results` has how many numbers each one has. */
export const answersPart = ({ tokens, results }: BatchOutputs, dtype: FloatType): PartGradient => {
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
export const outputsOf = ({ gradient, results }: PartGradient): Results => {
  let at = 0
  return Object.fromEntries(
    Object.entries(results).map(([name, [length]]) => {
      at += Number(length)
      return [name, gradient.subarray(at - Number(length), at)]
    }),
  )
}

/** Batches of a predictor, computed by `execute`. */
export const spreadBatches = (execute: AnswersExecutor, source: PartSource, dtype: FloatType): BatchExecutor =>
  async function* ({ count, compute, fits }) {
    const parts = execute({
      ...source,
      parts: count,
      compute: async (batch) => answersPart(await compute(batch), dtype),
      fits: (batch, outputs) => fits(batch, outputsOf(outputs)),
    })
    for await (const [batch, outputs] of parts) yield [batch, outputsOf(outputs)]
  }
