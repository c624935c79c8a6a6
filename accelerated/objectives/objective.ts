/** An objective: the loss that a model is trained for, the tensors of its head, its feeds and its answers. An objective is one file here; data, metrics and prompts are not. */
import type { Outputs, Expression, FloatType } from '../graph/expression.js'
import type { BatchInputs } from '../models/batchInputs.js'
import type { Host } from '../models/host.js'
import type { PackedBatch, TokenizedExample } from '../models/packing.js'
import type { Results } from '../engines/engine.js'
import type { Feeds } from '../engines/feeds.js'
import type { WeightGroups } from '../parameters/optimizerGroup.js'
import type { Trainable } from '../parameters/layout.js'
import type { TensorShape } from '../models/architecture.js'
import { modelInitial } from '../parameters/initialization.js'

/** An example as every objective has it: token ids, and its row in the file that it came from, for messages. */
export type TrainingExample = TokenizedExample & { readonly row: number }

/** The key of a batch's random numbers. No two batches of a run have the same. */
export type Draw = { readonly seed: number; readonly step: number }

/** A batch as the objective prepares it. */
export type Prepared<O> = {
  /** the texts that the model reads: one an example (masked tokens replaced), or several (packed texts, the two answers of a preference) */
  readonly texts: readonly TokenizedExample[]
  /** the batch's weight among the parts of an accumulated batch: examples, or tokens with a label */
  readonly weight: number
  /** the objective's own inputs. @param whole the weight of all parts of the step together */
  readonly feeds: (packed: PackedBatch, whole: number, dtype: FloatType) => Feeds
  /** one answer an example */
  readonly read: (results: Results, packed: PackedBatch) => readonly O[]
}

/** Hidden states of a batch's tokens, [tokens, hidden], and the host from which a head reads its tensors. `dtype`: that of the run's trained tensors. */
export type ModelOutput = { readonly hidden: Expression; readonly host: Host; readonly dtype: FloatType }

/** A forward pass over a batch. */
export type Forward = (batch: BatchInputs) => ModelOutput

/** `forward`: the adapted model · `baseForward`: the checkpoint's model, without adapter, head and dropout. It has no gradient. */
export type Forwards = { readonly forward: Forward; readonly baseForward: Forward }

/** A head's numbers by tensor. */
export type HeadNumbers = ReadonlyMap<string, ArrayLike<number>>

/** The head of files is σ W and σ b + μ for the trained W and b, so both answer the same score. */
export type HeadInFiles = { readonly write: (trained: HeadNumbers) => HeadNumbers; readonly read: (inFile: HeadNumbers) => HeadNumbers }

/** The loss of a step whose parts are compared with each other, such as in-batch negatives over accumulated batches. */
export type StepLoss = {
  /** what a part gives to the loss: rows of numbers, which it computes before any part has its gradient */
  readonly rows: (forwards: Forwards, batch: BatchInputs) => Expression
  /**
   * The loss of all rows of the step, where this part's are computed and those of the others are fed. Its gradients of all parts add up to that of
   * one batch (GradCache: Gao et al., 2021). Its value is the part's share, so that they add up to one loss.
   */
  readonly loss: (forwards: Forwards, batch: BatchInputs) => Expression
}

export type Objective<E extends TrainingExample = TrainingExample, O = unknown> = {
  readonly name: string
  /** the head's tensors, outside any budget */
  readonly tensors: (groups: WeightGroups) => readonly Trainable[]
  /** Σ of the batch's losses times the feed `lossWeight` = 1 / whole, so that the parts of an accumulated batch add up to its mean. → scalar */
  readonly loss: (forwards: Forwards, batch: BatchInputs) => Expression
  /** Replaces `loss` where batches are accumulated. Absent: the parts of a step know nothing of each other. */
  readonly stepLoss?: StepLoss
  /** The feeds of its loss for one part, over those of its batch. @param rows of each part, row-major */
  readonly stepFeeds?: (
    parts: readonly (readonly E[])[],
    part: number,
    rows: readonly ArrayLike<number | bigint>[],
    dtype: FloatType,
  ) => Feeds
  /** the outputs of inference, from which `read` takes the answers */
  readonly outputs: (forwards: Forwards, batch: BatchInputs) => Outputs
  readonly prepare: (examples: readonly E[], draw: Draw) => Prepared<O>
  /** The head's numbers in files, where training has another unit. Absent: they are the trained ones. */
  readonly headInFiles?: HeadInFiles
  /** What of the data suits the model's head badly, before the first step. Absent: nothing. */
  readonly warnings?: readonly string[]
  /** upper bounds of the objective's own dimensions, for a batch of this many tokens, in a step of this many texts; absent: it has none */
  readonly dimensions?: (tokens: number, stepTexts?: number) => Readonly<Record<string, number>>
}

// The trained tensors of a head, from the model's checkpoint where it has them.
/** Matrices decay, vectors do not. */
export const headTensors = (
  head: { readonly tensors: ReadonlyMap<string, TensorShape> },
  { decayed, undecayed }: WeightGroups,
): readonly Trainable[] =>
  [...head.tensors].map(([name, shape]) => ({ name, shape, group: shape.length > 1 ? decayed : undecayed, initial: modelInitial }))
