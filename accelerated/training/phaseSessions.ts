/** The sessions of one phase of a run: the training step, in parts where batches are accumulated, and its dropout pools. */
import type { DropoutSite } from '../models/layers/dropout.js'
import type { Engine, Session, WeightSource } from '../engines/engine.js'
import type { Feeds } from '../engines/feeds.js'
import type { ParameterLayout } from '../parameters/layout.js'
import type { Examples, TokenizedExample } from '../models/packing.js'
import type { Assembly } from './assembly.js'
import { largestBatch } from './batchFeeds.js'
import { dropoutPools, type Dimensions } from './dropoutFeeds.js'
import { dimensionsInBlocks } from './longTexts.js'
import { stepGraph } from './stepGraph.js'

export type PhaseSessions = {
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

/** @param largest upper bounds of a batch's dimensions, for the dropout pools */
export const openPhaseSessions = async (
  assembly: Assembly,
  phase: unknown,
  { engine, weights }: Runtime,
  largest: Dimensions,
): Promise<PhaseSessions> => {
  const { settings, precision } = assembly
  const accumulates = settings.gradientAccumulationSteps > 1
  const { outputs, layout, sites } = stepGraph(assembly, phase, accumulates ? 'finish' : 'whole')
  const update = await engine.open(outputs, weights, { prepack: false })
  const add = accumulates ? await engine.open(stepGraph(assembly, phase, 'add').outputs, weights, { prepack: false }) : null
  return {
    layout,
    sites,
    pools: dropoutPools(settings.seed, sites, dimensionsInBlocks(assembly, largest), precision.dtype),
    update,
    add,
    release: async () => {
      await update.release()
      await add?.release()
    },
  }
}

/** The sessions of the current phase: opened when a phase begins, released when it ends. */
export const phaseSessionsOf = (task: Assembly & { readonly runtime: Runtime; readonly training: Examples<TokenizedExample> }) => {
  const virtual = task.method.train.virtualTokens?.(task.settings)
  const largest = largestBatch(task.training, task.settings.batchSize, virtual?.at === 'embeddings' ? virtual.count : 0)
  let current: { readonly phase: unknown; readonly sessions: PhaseSessions } | null = null
  return {
    of: async (phase: unknown): Promise<PhaseSessions> => {
      if (current !== null && current.phase !== phase) {
        await current.sessions.release()
        current = null
      }
      current ??= { phase, sessions: await openPhaseSessions(task, phase, task.runtime, largest) }
      return current.sessions
    },
    release: async (): Promise<void> => current?.sessions.release(),
  }
}
