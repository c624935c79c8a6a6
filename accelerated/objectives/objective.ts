/** An objective: what a model is trained for. Its loss on the hidden states, the tensors that its head adds, its feeds and its answers. */
import type { Expression, FloatType } from '../graph/expression.js'
import type { Host } from '../models/host.js'
import type { PackedBatch, TokenizedExample } from '../models/packing.js'
import type { Results } from '../engines/engine.js'
import type { Feeds } from '../engines/feeds.js'
import type { OptimizerGroup } from '../parameters/optimizerGroup.js'
import type { Trainable } from '../parameters/layout.js'

/** An example as every objective has it: token ids, and its place in the file it came from, for messages. */
export type TrainingExample = TokenizedExample & { readonly row: number }

/** What random numbers of a batch are drawn by: no other batch of the run has the same. */
export type Draw = { readonly seed: number; readonly step: number }

/** A batch as the objective shows it to the model, and what it asks of it. */
export type Prepared<O> = {
  /** one for each example: masked ones hide tokens */
  readonly shown: ReadonlyArray<TokenizedExample>
  /** what this batch counts in a step of several: examples, or masked tokens */
  readonly weight: number
  /** `whole`: the weight of all parts of the step together */
  readonly feeds: (packed: PackedBatch, whole: number, dtype: FloatType) => Feeds
  /** one answer an example */
  readonly read: (results: Results) => ReadonlyArray<O>
}

export type Objective<E extends TrainingExample = TrainingExample, O = unknown> = {
  readonly name: string
  /** the head's tensors, outside any budget */
  readonly tensors: (groups: Readonly<Record<'decayed' | 'undecayed', OptimizerGroup>>) => ReadonlyArray<Trainable>
  /** Σ of the batch's losses times `lossWeight` = 1 / whole, so that the parts of an accumulated batch add up to its mean. hidden: [tokens, hidden] → scalar */
  readonly loss: (hidden: Expression, host: Host, dtype: FloatType) => Expression
  /** what inference reads */
  readonly outputs: (hidden: Expression, host: Host) => Readonly<Record<string, Expression>>
  readonly prepare: (examples: ReadonlyArray<E>, draw: Draw) => Prepared<O>
  /** bounds of dimensions of its own, of a batch with so many tokens; absent: it has none */
  readonly dimensions?: (tokens: number) => Readonly<Record<string, number>>
}
