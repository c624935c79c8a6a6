/** The update of a block: a plain step in both directions, and the projection onto non-negative numbers after it. */
import { describe, expect, it } from 'vitest'
import { input } from '../../../accelerated/graph/operators.js'
import type { OptimizerGroup } from '../../../accelerated/parameters/optimizerGroup.js'
import { update } from '../../../accelerated/training/optimizer.js'
import { evaluate, float64, resultOf } from '../../support/runGraph.js'

const vector = (name: string) => input(name, [2], 'float64')

/** One plain step of rate 1/2 from (1, 1) with the gradient (−4, 4). */
const stepped = async (change: Partial<OptimizerGroup>): Promise<readonly number[]> => {
  const group: OptimizerGroup = {
    ...{ name: 'multiplier', adam: null, weightDecay: 0, direction: 'ascent', learningRateFeed: 'rate', learningRateRatio: 1 },
    ...{ correctionPrefix: 'multiplier', isWeight: false, nonNegative: false },
    ...change,
  }
  const { parameters } = update(group, vector('x'), vector('gradient'), { first: vector('m'), second: vector('v') }, 'float64')
  return resultOf(
    await evaluate({ parameters }, { x: float64([1, 1]), gradient: float64([-4, 4]), rate: float64([0.5], []) }),
    'parameters',
  )
}

describe('the plain step of a group', () => {
  it('adds η times the gradient for an ascent, and subtracts it for a descent', async () => {
    expect(await stepped({ direction: 'ascent' })).toEqual([-1, 3])
    expect(await stepped({ direction: 'descent' })).toEqual([3, -1])
  })

  it('ends at 0 in place of a negative number if the group asks for it', async () => {
    expect(await stepped({ direction: 'ascent', nonNegative: true })).toEqual([0, 3])
    expect(await stepped({ direction: 'descent', nonNegative: true })).toEqual([3, 0])
  })

  it('is as many times longer as the rate of the group is that of its feed', async () => {
    expect(await stepped({ direction: 'descent', learningRateRatio: 3 })).toEqual([7, -5])
  })
})
