/** A state's vectors block by block: as feeds of a step's graph, and as buffers for its results. */
import type { FloatType } from '../graph/expression.js'
import type { Results } from '../engines/engine.js'
import { floatFeed, type Feed, type Feeds } from '../engines/feeds.js'
import { blockInput, blockOutput, type Block, type ParameterLayout } from '../parameters/layout.js'
import { namedVectors, zeros, type Vector, type Vectors } from '../parameters/vectors.js'

/** A vector's blocks as feeds: views, not copies. */
export const blockFeeds = (layout: ParameterLayout, name: string, vector: Vector, dtype: FloatType): Feeds =>
  Object.fromEntries(
    layout.blocks.map((block) => [
      blockInput(name, block),
      floatFeed(vector.subarray(block.offset, block.offset + block.size), [block.size], dtype),
    ]),
  )

export const stateFeeds = (layout: ParameterLayout, vectors: Vectors, dtype: FloatType): Feeds =>
  Object.assign({}, ...Object.entries(namedVectors(vectors)).map(([name, vector]) => blockFeeds(layout, name, vector, dtype)))

/**
 * Buffers for the next state. Moments are overwritten in place, since only their own update reads them. Parameters are read until the end of
 * the step, so two buffers take turns. @param spare the parameters of the step before the last
 */
export const nextBuffers = ({ size }: ParameterLayout, state: Vectors, spare: Vector | null, dtype: FloatType): Vectors => ({
  ...state,
  parameters: spare?.length === size ? spare : zeros(size, dtype),
})

/** The outputs of a step's graph that are a block of the next state, and the inputs that take them. */
export const pairBlockNames = (block: Block, outputs: readonly string[]): readonly { readonly output: string; readonly input: string }[] =>
  outputs
    .filter((output) => output.startsWith('next ') && output.endsWith(blockInput('', block)))
    .map((output) => ({ output, input: output.slice('next '.length) }))

/** Where a step's results go, for an engine that writes into the caller's memory. */
export const resultsInto = (layout: ParameterLayout, buffers: Readonly<Record<string, Vector>>): Readonly<Record<string, Feed>> =>
  Object.fromEntries(
    Object.entries(buffers).flatMap(([name, vector]) =>
      layout.blocks.map((block) => [
        blockOutput(name, block),
        { data: vector.subarray(block.offset, block.offset + block.size), shape: [block.size] },
      ]),
    ),
  )

/** Copies the results' blocks into the buffers where the engine allocated memory of its own. @param isAmong the blocks that results have (default: all) */
export const collect = (
  { blocks }: Pick<ParameterLayout, 'blocks'>,
  buffers: Readonly<Record<string, Vector>>,
  results: Results,
  isAmong: (block: Block) => boolean = () => true,
): void => {
  for (const [name, vector] of Object.entries(buffers))
    for (const block of blocks.filter(isAmong)) {
      const result = results[blockOutput(name, block)]
      if (result === undefined) throw new Error(`collect: expected ${blockOutput(name, block)} among the results, got none`)
      if (result.buffer !== vector.buffer) vector.set(result as Vector, block.offset)
    }
}
