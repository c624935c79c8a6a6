/**
 * The part of a run's state that stays on the device from step to step: the vectors of W, which are nearly all of it. From part to part of a step,
 * the sums of their gradients stay too. The state's own vectors are older until `settle` copies the numbers back: for checkpoints, evaluations
 * and changes of phase.
 */
import type { Expression } from '../graph/expression.js'
import type { Session } from '../engines/engine.js'
import type { Feeds } from '../engines/feeds.js'
import { blockInput, type ParameterLayout } from '../parameters/layout.js'
import type { RunState } from '../parameters/runState.js'
import { namedVectors } from '../parameters/vectors.js'
import { collect, namesOfBlocks } from './stateBuffers.js'

export type DeviceState = {
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
export const carryOf = (layout: ParameterLayout, outputs: Readonly<Record<string, Expression>>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    layout.blocks.filter(isKept).flatMap((block) => namesOfBlocks(block, Object.keys(outputs)).map(({ output, input }) => [output, input])),
  )

const without = (feeds: Feeds, names: ReadonlySet<string>): Feeds =>
  Object.fromEntries(Object.entries(feeds).filter(([name]) => !names.has(name)))

/** null: the session carries nothing, and each step returns the whole state */
export const deviceState = (session: Session, layout: ParameterLayout, carry: Readonly<Record<string, string>>): DeviceState | null => {
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
