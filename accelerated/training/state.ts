/** What a run carries from step to step, and its vectors block by block as feeds and as memory for results. */
import type { FloatType } from '../graph/expression.js'
import type { Method } from '../methods/method.js'
import type { Results } from '../engines/engine.js'
import { floatFeed, type Feed, type Feeds } from '../engines/feeds.js'
import type { Assembly } from './assembly.js'
import { layoutOf } from './assembly.js'
import { blockInput, blockOutput, type CheckpointNumbers, type ParameterLayout } from '../parameters/layout.js'
import type { RunState } from '../parameters/runState.js'
import { namedVectors, zeros, type Vector, type Vectors } from '../parameters/vectors.js'

/** The state before the first step. @throws SettingsError where the model cannot carry the method */
export const startOfRun = async (assembly: Omit<Assembly, 'frozen'>, checkpoint: CheckpointNumbers): Promise<RunState> => {
  const { method, settings, model, precision } = assembly
  const phase = method.start(model.spec, settings)
  const layout = layoutOf(assembly, phase)
  const parameters = zeros(layout.size, precision.dtype)
  for (const entry of layout.entries) {
    const { fromCheckpoint, draw } = entry.initial
    const given = fromCheckpoint === false ? undefined : await fromCheckpoint(entry, checkpoint)
    parameters.set(given ?? draw(settings.seed, entry), entry.offset)
  }
  return { step: 0, phase, parameters, ...emptyMoments(method, phase, settings, layout, precision.dtype) }
}

const emptyMoments = (
  method: Method,
  phase: unknown,
  settings: unknown,
  { size }: ParameterLayout,
  dtype: FloatType,
): Omit<Vectors, 'parameters'> => ({
  firstMoment: zeros(size, dtype),
  secondMoment: zeros(size, dtype),
  memory: Object.fromEntries((method.memory?.(phase, settings).names ?? []).map((name) => [name, zeros(size, dtype)])),
})

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
 * Memory for the next state: that of the old. Moments are written over where they lie, since nothing but their own update reads them; parameters
 * are read until the end of the step, so those of this step and of the last take turns.
 */
export const roomForNext = ({ size }: ParameterLayout, state: Vectors, spare: Vector | null, dtype: FloatType): Vectors => ({
  ...state,
  parameters: spare?.length === size ? spare : zeros(size, dtype),
})

/** Where a step's results go, for an engine that can write into the caller's memory. */
export const resultsInto = (layout: ParameterLayout, room: Readonly<Record<string, Vector>>): Readonly<Record<string, Feed>> =>
  Object.fromEntries(
    Object.entries(room).flatMap(([name, vector]) =>
      layout.blocks.map((block) => [
        blockOutput(name, block),
        { data: vector.subarray(block.offset, block.offset + block.size), shape: [block.size] },
      ]),
    ),
  )

/** The results' blocks in their places: copied where the engine made memory of its own. */
export const collect = (layout: ParameterLayout, room: Readonly<Record<string, Vector>>, results: Results): void => {
  for (const [name, vector] of Object.entries(room))
    for (const block of layout.blocks) {
      const result = results[blockOutput(name, block)]
      if (result === undefined) throw new Error(`collect: expected ${blockOutput(name, block)} among the results, got none`)
      if (result.buffer !== vector.buffer) vector.set(result as Vector, block.offset)
    }
}
