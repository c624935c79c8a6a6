/** The sessions of one phase of a run: its training step, in parts where batches are accumulated, and its dropout pools. */
import type { DropoutSite } from '../models/layers/dropout.js'
import type { Engine, Session, WeightSource } from '../engines/engine.js'
import type { Feeds } from '../engines/feeds.js'
import { stepGraph, type Assembly } from './assembly.js'
import { dropoutPools, type Dimensions } from './dropoutFeeds.js'
import type { ParameterLayout } from '../parameters/layout.js'

export type OpenedPhase = {
  readonly layout: ParameterLayout
  readonly sites: ReadonlyArray<DropoutSite>
  readonly pools: Feeds
  /** the whole step; with accumulation, its last part */
  readonly update: Session
  /** with accumulation, the parts before the last */
  readonly add: Session | null
  readonly release: () => Promise<void>
}

/** Where graphs run, and the files of their frozen weights. */
export type Runtime = { readonly engine: Engine; readonly weights: WeightSource }

/** @param largest bounds of any batch, for the dropout pools */
export const openPhase = async (
  assembly: Assembly,
  phase: unknown,
  { engine, weights }: Runtime,
  largest: Dimensions,
): Promise<OpenedPhase> => {
  const { settings, precision } = assembly
  const accumulates = settings.gradientAccumulationSteps > 1
  const whole = stepGraph(assembly, phase, accumulates ? 'finish' : 'whole')
  const update = await engine.open(whole.outputs, weights, { prepack: false })
  const add = accumulates ? await engine.open(stepGraph(assembly, phase, 'add').outputs, weights, { prepack: false }) : null
  return {
    layout: whole.layout,
    sites: whole.sites,
    pools: dropoutPools(settings.seed, whole.sites, largest, precision.dtype),
    update,
    add,
    release: async () => {
      await update.release()
      await add?.release()
    },
  }
}
