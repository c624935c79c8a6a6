/** What a method adds to the optimizer's update: vectors beside the two moments, and a change of the updated parameters (AdaLoRA's averages and masks). */
import type { Expression, FloatType } from '../graph/expression.js'
import type { Block } from './layout.js'

/** A block after the optimizer's update. All vectors: [block.size] */
export type UpdatedBlock = {
  readonly block: Block
  readonly parameters: Expression
  /** the gradient that the update used */
  readonly gradient: Expression
  /** the extension's vectors before this step, by name */
  readonly memory: Readonly<Record<string, Expression>>
}

export type OptimizerExtension = {
  /** names of its vectors, each of the state's size */
  readonly names: readonly string[]
  readonly afterUpdate: (
    blocks: readonly UpdatedBlock[],
    dtype: FloatType,
  ) => readonly { readonly parameters: Expression; readonly memory: Readonly<Record<string, Expression>> }[]
}
