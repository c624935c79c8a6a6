/**
 * The layout of trained numbers. This room knows tensors' names, sizes, groups and initial numbers, but no model, method or optimizer step.
 * All trained numbers are in one flat vector, divided into blocks. A block is an input and an output of a step's graph. The small tensors of an
 * optimizer group share a block, so that AdamW is a handful of nodes. A large tensor has its own, so that it is never copied.
 */
import type { Outputs, Expression, FloatType } from '../graph/expression.js'
import { concat, reshape, split } from '../graph/operators.js'
import type { OptimizerGroup } from './optimizerGroup.js'

/** The checkpoint's tensor of this name; undefined if it has none of this shape. */
export type CheckpointNumbers = (name: string, shape: readonly number[]) => Promise<ArrayLike<number> | undefined>

/** The initial numbers of a tensor: from the checkpoint if it has them, else drawn. */
export type Initial = {
  /** the numbers as a function of the checkpoint: its tensor of the same name, for example */
  readonly fromCheckpoint: false | ((entry: ParameterEntry, checkpoint: CheckpointNumbers) => Promise<ArrayLike<number> | undefined>)
  /** a draw keyed by the tensor's place, so that no two tensors share random numbers */
  readonly draw: (seed: number, entry: ParameterEntry) => ArrayLike<number>
}

export type Trainable = {
  readonly name: string
  readonly shape: readonly number[]
  readonly group: OptimizerGroup
  readonly initial: Initial
}

export type ParameterEntry = Trainable & { readonly offset: number; readonly place: number; readonly size: number }

/** A slice of the vector: entries of one group. `name` is the group's name, or that of its one large tensor. */
export type Block = {
  readonly name: string
  readonly group: OptimizerGroup
  readonly offset: number
  readonly size: number
  readonly entries: readonly ParameterEntry[]
}

export type ParameterLayout = {
  readonly entries: readonly ParameterEntry[]
  readonly blocks: readonly Block[]
  readonly size: number
}

/** A tensor of at least this size is a block of its own. */
const largeTensor = 1 << 18

const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

const isLarge = ({ shape }: Trainable): boolean => elements(shape) >= largeTensor

/** Tensors by key in the order of the keys' first tensors, small tensors before large ones, otherwise in the given order. */
const inOrder = (trainables: readonly Trainable[], toKey: (group: OptimizerGroup) => string): readonly Trainable[] => {
  const keys = [...new Set(trainables.map(({ group }) => toKey(group)))]
  return keys.flatMap((key) => {
    const members = trainables.filter(({ group }) => toKey(group) === key)
    return [...members.filter((one) => !isLarge(one)), ...members.filter(isLarge)]
  })
}

const computeOffsets = (trainables: readonly Trainable[]): ReadonlyMap<Trainable, number> => {
  let offset = 0
  return new Map(
    trainables.map((trainable) => {
      const first = offset
      offset += elements(trainable.shape)
      return [trainable, first]
    }),
  )
}

/** Tensors of a group with another rate, as LoRA+ has them for B, have a block of their own. */
const nameBlock = ({ name, learningRateRatio }: OptimizerGroup): string =>
  learningRateRatio === 1 ? name : `${name} at ${learningRateRatio} times the rate`

/** The offset of each tensor, and its place among random numbers: the offset if all rates were equal. So LoRA+ starts as LoRA with the same seed. */
export const parameterLayout = (trainables: readonly Trainable[]): ParameterLayout => {
  const places = computeOffsets(inOrder(trainables, ({ name }) => name))
  const offsets = computeOffsets(inOrder(trainables, nameBlock))
  const entries = [...offsets].map(
    ([trainable, offset]): ParameterEntry => ({
      ...trainable,
      offset,
      place: places.get(trainable) ?? NaN,
      size: elements(trainable.shape),
    }),
  )
  const names = [...new Set(entries.map((entry) => (isLarge(entry) ? entry.name : nameBlock(entry.group))))]
  const blocks = names.flatMap((name): readonly Block[] => {
    const members = entries.filter((entry) => (isLarge(entry) ? entry.name : nameBlock(entry.group)) === name)
    const [first] = members
    const size = members.reduce((sum, entry) => sum + entry.size, 0)
    return first === undefined ? [] : [{ name, group: first.group, entries: members, offset: first.offset, size }]
  })
  return { blocks, entries, size: entries.reduce((sum, { size }) => sum + size, 0) }
}

/** The tensors of a block's vector, by name. vector: [block.size] */
export const splitBlock = ({ entries }: Block, vector: Expression): readonly (readonly [string, Expression])[] => {
  const parts = split(
    vector,
    entries.map(({ size }) => size),
  )
  return entries.map(({ name, shape }, i) => [name, reshape(parts[i] as Expression, shape)])
}

/** A block's vector from its tensors. → [block.size] */
export const joinBlock = ({ entries }: Block, tensor: (name: string) => Expression): Expression =>
  concat(
    entries.map(({ name, size }) => reshape(tensor(name), [size])),
    0,
  )

/** A block's names in a step's graph: `parameters(decayed)` is an input, `next parameters(decayed)` an output. */
export const blockInput = (vector: string, { name }: Pick<Block, 'name'>): string => `${vector}(${name})`
export const blockOutput = (vector: string, block: Pick<Block, 'name'>): string => `next ${blockInput(vector, block)}`

/** A block after the optimizer's update, which a method may extend by vectors beside the two moments (AdaLoRA's averages and masks). All vectors: [block.size] */
export type UpdatedBlock = {
  readonly block: Block
  readonly parameters: Expression
  /** the gradient that the update used */
  readonly gradient: Expression
  /** the extension's vectors before this step, by name */
  readonly memory: Outputs
}

export type OptimizerExtension = {
  /** names of its vectors, each of the state's size */
  readonly names: readonly string[]
  readonly afterUpdate: (
    blocks: readonly UpdatedBlock[],
    dtype: FloatType,
  ) => readonly { readonly parameters: Expression; readonly memory: Outputs }[]
}
