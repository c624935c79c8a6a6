/** The parts of a step as feeds: batch, noise, share and controls. A part's feeds are a function of the run, the step, the phase and its number. */
import type { Controls, TrainingProgress } from '../methods/method.js'
import type { Objective, TrainingExample } from '../objectives/objective.js'
import { floatFeed, scalarFeed, type Feeds } from '../engines/feeds.js'
import type { Results } from '../engines/engine.js'
import type { PackedBatch } from '../models/packing.js'
import { uniforms } from '../parameters/random.js'
import type { RunState } from '../parameters/runState.js'
import type { Assembly } from './assembly.js'
import { batchFeeds, pickDimensions } from './batchFeeds.js'
import { dropoutOffsets } from './dropoutFeeds.js'
import type { PhaseSessions } from './phaseSessions.js'
import { blockFeeds } from './stateBuffers.js'

export type PartsContext<E extends TrainingExample> = {
  readonly assembly: Assembly
  readonly objective: Objective<E>
  readonly progress: TrainingProgress
}

/** What a part's graph is fed, except the state and the sum of gradients. */
export type PartFeeds = { readonly feeds: Feeds; readonly tokens: number }

/**
 * Where a loss compares the parts of the step, all of them are run once for their rows.
 * @param parts the examples of each part @returns the feeds of the part with this number
 */
export const microBatchFeeds = async <E extends TrainingExample>(
  context: PartsContext<E>,
  sessions: Pick<PhaseSessions, 'sites' | 'pools' | 'layout' | 'rows'>,
  state: Pick<RunState, 'step' | 'phase' | 'parameters'>,
  parts: readonly (readonly E[])[],
): Promise<(part: number) => PartFeeds> => {
  const prepareFeeds = separateFeeds(context, sessions, state, parts)
  const { rows: session = null, layout } = sessions
  const { dtype } = context.assembly.precision
  if (session === null) return prepareFeeds
  const parameters = blockFeeds(layout, 'parameters', state.parameters, dtype)
  const rows: Results[string][] = []
  for (let i = 0; i < parts.length; i++)
    rows.push((await session.run({ ...parameters, ...prepareFeeds(i).feeds }))['rows'] ?? new Float32Array())
  return (i) => {
    const { feeds, tokens } = prepareFeeds(i)
    return { feeds: { ...feeds, ...context.objective.stepFeeds?.(parts, i, rows, dtype) }, tokens }
  }
}

/** The feeds of each part without the others. */
const separateFeeds = <E extends TrainingExample>(
  { assembly, objective, progress }: PartsContext<E>,
  { sites, pools }: Pick<PhaseSessions, 'sites' | 'pools'>,
  state: Pick<RunState, 'step' | 'phase'>,
  parts: readonly (readonly E[])[],
): ((part: number) => PartFeeds) => {
  const { settings } = assembly
  const constant: Feeds = { ...controlFeeds(assembly, state.phase, progress), ...pools }
  const drawIndex = (part: number): number => state.step * settings.gradientAccumulationSteps + part
  const prepared = parts.map((part, i) => objective.prepare(part, { seed: settings.seed, step: drawIndex(i) }))
  const whole = prepared.reduce((sum, { weight }) => sum + weight, 0)
  return (i) => {
    const part = prepared[i]
    if (part === undefined) throw new Error(`microBatchFeeds: expected a part below ${parts.length}, got ${i}`)
    const { packed, feeds } = batchFeeds(assembly, part, whole)
    const offsets = dropoutOffsets(settings.seed, drawIndex(i), sites, pools, pickDimensions(packed))
    return { feeds: { ...constant, ...feeds, ...offsets, ...noiseFeeds(assembly, packed, drawIndex(i)) }, tokens: packed.tokens }
  }
}

/** NEFTune's noise, uniform within α / √(L d) where the longest text has L tokens: [tokens, d]. Virtual tokens have none. @param draw a number that no other part of the run has */
export const noiseFeeds = (
  { settings, model, precision }: Pick<Assembly, 'settings' | 'model' | 'precision'>,
  packed: PackedBatch,
  draw: number,
): Feeds => {
  const { neftuneAlpha: alpha, seed } = settings
  if (alpha === null) return {}
  const [{ tokens, firstTokens, lastTokens }, d] = [packed, model.spec.embeddingSize]
  const places = packed.feeds['virtualToken']?.data ?? []
  const virtual = Number(places[tokens - 1]) // the last token is a text's, and its place is their number
  const longest = lastTokens.reduce((most, last, i) => Math.max(most, last - (firstTokens[i] ?? 0) + 1), 0) - virtual
  const bound = alpha / Math.sqrt(longest * d)
  const noise = uniforms(seed, 'embeddings', draw, tokens * d).map((u, i) =>
    Number(places[Math.floor(i / d)]) === virtual ? bound * (2 * u - 1) : 0,
  )
  return { embeddingNoise: floatFeed(noise, [tokens, d], precision.dtype) }
}

/** What the method feeds to every graph of a step, such as the noise of its gates. */
export const controlFeeds = ({ method, settings, precision }: Assembly, phase: unknown, progress: TrainingProgress): Feeds => {
  const controls: Controls = method.train.controls?.(phase, settings, progress) ?? {}
  return Object.fromEntries(
    Object.entries(controls).map(([name, value]) => [
      name,
      typeof value === 'number' ? scalarFeed(value, precision.dtype) : floatFeed(value, [value.length], precision.dtype),
    ]),
  )
}
