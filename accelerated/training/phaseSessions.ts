/** The sessions of one phase of a run: the training step, in parts where batches are accumulated, and its dropout pools. */
import { poolName, type DropoutSite } from '../models/layers/dropout.js'
import type { Engine, Session, WeightSource } from '../engines/engine.js'
import type { Feeds } from '../engines/feeds.js'
import { type ParameterLayout, blockInput } from '../parameters/layout.js'
import type { Examples, TokenizedExample } from '../models/packing.js'
import type { Assembly } from './assembly.js'
import { largestBatch, dimensionsInBlocks } from './batchFeeds.js'
import { graphToOpen } from './graphCache.js'
import { dropoutPools, type Dimensions } from './dropoutFeeds.js'
import { accumulates } from '../settings/commonSettings.js'
import type { Outputs } from '../graph/expression.js'
import type { RunState } from '../parameters/runState.js'
import { namedVectors } from '../parameters/vectors.js'
import { collect, pairBlockNames } from './stateBuffers.js'
import { rowsGraph, stepLoss } from './stepGraph.js'

/** What parts of a step are computed with. */
export type MicroBatchSessions = {
  readonly layout: ParameterLayout
  readonly sites: readonly DropoutSite[]
  readonly pools: Feeds
  /** a part's gradient, added to the sum so far */
  readonly add: Session
  /** computes a part's rows for a loss over all parts of the step (StepLoss); null or absent: each part has its own loss */
  readonly rows?: Session | null
  readonly release: () => Promise<void>
}

export type PhaseSessions = Omit<MicroBatchSessions, 'add'> & {
  /** The whole step, or its last part with accumulation. A spread step has the update alone. */
  readonly update: Session
  /** With accumulation, the parts before the last. A spread step has all parts here. */
  readonly add: Session | null
  /** the state that stays on the device between steps; null or absent: none does */
  readonly device?: DeviceState | null
}

/** Where graphs run, and the files of their frozen weights. */
export type Runtime = { readonly engine: Engine; readonly weights: WeightSource }

/**
 * @param largest upper bounds of a batch's dimensions, for the dropout pools
 * @param spread whether the parts of a step may be computed elsewhere
 * @param carries whether state may stay on the device between steps; the caller then calls `settle` before it reads vectors
 */
export const openPhaseSessions = async (
  assembly: Assembly,
  phase: unknown,
  runtime: Runtime,
  largest: Dimensions,
  spread = false,
  carries = false,
): Promise<PhaseSessions> => {
  const { engine, weights } = runtime
  const inParts = spread || accumulates(assembly.settings)
  const { outputs, layout, sites } = graphToOpen(assembly, phase, !inParts ? 'whole' : spread ? 'apply' : 'finish')
  const carriedIn = carries && !spread && stepLoss(assembly) === undefined ? {} : null // the rows of all parts are computed first, from a state in memory
  const carry = carriedIn === null ? {} : mapCarriedOutputs(layout, outputs)
  const update = await engine.open(outputs, weights, { prepack: false, carry, fixed: poolNames(sites), ...(carriedIn && { carriedIn }) })
  const device = deviceState(update, layout, carry)
  if (!inParts) return { layout, sites, pools: drawPools(assembly, sites, largest), update, add: null, device, release: update.release }
  const parts = await openMicroBatchSessions(assembly, phase, runtime, largest, device === null ? null : carriedIn)
  return {
    ...parts,
    update,
    device,
    release: async () => {
      await update.release()
      await parts.release()
    },
  }
}

/** The same for parts alone. @param carriedIn of the session that updates; null: sums of gradients do not stay on the device (default) */
export const openMicroBatchSessions = async (
  assembly: Assembly,
  phase: unknown,
  { engine, weights }: Runtime,
  largest: Dimensions,
  carriedIn: object | null = null,
): Promise<MicroBatchSessions> => {
  const { outputs, layout, sites } = graphToOpen(assembly, phase, 'add')
  const carry = carriedIn === null ? {} : mapCarriedOutputs(layout, outputs)
  const fixed = [...poolNames(sites), ...Object.values(carry)] // a step's first part is fed a sum of zeros
  const add = await engine.open(outputs, weights, { prepack: false, ...(carriedIn && { carry, carriedIn, fixed }) })
  const graph = rowsGraph(assembly, phase)
  const rows = graph === null ? null : await engine.open(graph, weights, { prepack: false, fixed: poolNames(sites) })
  return {
    ...{ layout, sites, pools: drawPools(assembly, sites, largest), add, rows },
    release: async () => {
      await add.release()
      await rows?.release()
    },
  }
}

const poolNames = (sites: MicroBatchSessions['sites']): readonly string[] => [
  ...new Set(sites.map(({ probability }) => poolName(probability))),
]

const drawPools = (assembly: Assembly, sites: MicroBatchSessions['sites'], largest: Dimensions): Feeds =>
  dropoutPools(assembly.settings.seed, sites, dimensionsInBlocks(assembly, largest), assembly.precision.dtype)

type SessionsTask = Assembly & { readonly runtime: Runtime; readonly training: Examples<TokenizedExample> }

/** The sessions of the current phase: opened when a phase begins, released when it ends. */
export const makePhaseSessions = <S extends Pick<MicroBatchSessions, 'release'>>(
  task: SessionsTask,
  open: (assembly: Assembly, phase: unknown, runtime: Runtime, largest: Dimensions) => Promise<S>,
) => {
  const virtual = task.method.train.virtualTokens?.(task.settings)
  const largest = largestBatch(task.training, task.settings.batchSize, virtual?.at === 'embeddings' ? virtual.count : 0)
  let current: { readonly phase: unknown; readonly sessions: S } | null = null
  return {
    of: async (phase: unknown): Promise<S> => {
      if (current !== null && current.phase !== phase) {
        await current.sessions.release()
        current = null
      }
      current ??= { phase, sessions: await open(task, phase, task.runtime, largest) }
      return current.sessions
    },
    /** null: none are open */
    current: (): S | null => current?.sessions ?? null,
    release: async (): Promise<void> => current?.sessions.release(),
  }
}

/**
 * The part of a run's state that stays on the device from step to step: the vectors of W, which are nearly all of it. From part to part of a step,
 * the sums of their gradients stay too. The state's own vectors are older until `settle` copies the numbers back: for checkpoints, evaluations
 * and changes of phase.
 */
type DeviceState = {
  /** the feeds of a step from this state, without those that the device has */
  readonly feeds: (state: RunState, feeds: Feeds) => Feeds
  /** these sums of gradients without those that the device has after a step's first part */
  readonly withoutSums: (sums: Feeds) => Feeds
  /** the blocks that a step does not return */
  readonly isKept: (block: ParameterLayout['blocks'][number]) => boolean
  /** After a step: the device has the state `step`. */
  readonly took: (step: number) => void
  /** Copies the numbers of this state from the device into its vectors, if they are older. */
  readonly settle: (state: RunState) => Promise<void>
}

const isKept: DeviceState['isKept'] = ({ group }) => group.isWeight

/** By output of a step's graph, the input that takes it in the next step. */
const mapCarriedOutputs = (layout: ParameterLayout, outputs: Outputs): Readonly<Record<string, string>> =>
  Object.fromEntries(
    layout.blocks
      .filter(isKept)
      .flatMap((block) => pairBlockNames(block, Object.keys(outputs)).map(({ output, input }) => [output, input])),
  )

const without = (feeds: Feeds, names: ReadonlySet<string>): Feeds =>
  Object.fromEntries(Object.entries(feeds).filter(([name]) => !names.has(name)))

/** null: the session carries nothing, and each step returns the whole state */
const deviceState = (session: Session, layout: ParameterLayout, carry: Readonly<Record<string, string>>): DeviceState | null => {
  const { carried } = session
  if (carried === undefined) return null
  const inputs = new Set(Object.values(carry))
  const summed = new Set(layout.blocks.filter(isKept).map((block) => blockInput('gradientSum', block)))
  /** held: the step whose state is on the device · isAhead: whether the vectors are older */
  let [held, isAhead]: [number | null, boolean] = [null, false]
  return {
    isKept,
    withoutSums: (sums) => without(sums, summed),
    feeds: (state, feeds) => (held === state.step ? without(feeds, inputs) : feeds),
    took: (step) => {
      ;[held, isAhead] = [step, true]
    },
    settle: async (state) => {
      if (!isAhead || held !== state.step) return
      collect(layout, namedVectors(state), await carried(), isKept)
      isAhead = false
    },
  }
}
