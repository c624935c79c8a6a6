/** A run from plain steps through the gate window and retention to what it hands over. */
import { describe, expect, it } from 'vitest'
import { compareFromEnd, compareRun, type RunRules } from '../../evaluation/agreement/compareRun.js'
import type { ModelOptions } from '../../evaluation/agreement/drawModel.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { layoutFor, phaseIn } from '../../evaluation/agreement/acceleratedSide.js'
import { advance, initializeBoth } from '../../evaluation/agreement/lockstep.js'
import { describeSkipped } from '../../evaluation/agreement/rows.js'
import { viewTensor } from '../../accelerated/parameters/vectors.js'
import { disagreements, someOptions } from './modelOptions.js'

const cases: readonly (readonly [RunRules, Partial<ModelOptions>, 'float64' | 'float32'])[] = [
  [{ retain: 'budget', gateAfter: 'soft', density: 0.5 }, { layers: 2, rank: 3 }, 'float64'],
  [{ retain: 'budget', gateAfter: 'binary', density: 0.3 }, { family: 'bert', taskType: 'regression', dropout: 0.5 }, 'float64'],
  [{ retain: 'paper', gateAfter: 'soft', density: 0.5 }, { rank: 1, lengths: [1], dropout: 0 }, 'float64'],
  [{ retain: 'budget', gateAfter: 'soft', density: 0.08 }, { rank: 2 }, 'float64'],
  [{ retain: 'budget', gateAfter: 'soft', density: 0.5 }, { layers: 2, rank: 3 }, 'float32'],
]

describe('a run', () => {
  it.each(cases)(
    'is the same in both derivations, and the adapter, the pruned and the merged model have the same logits: %j %j %s',
    async (rules, change, dtype) => {
      const rows = await compareRun(drawModel(someOptions(change)), { device: 'cpu', precision: dtype }, rules)
      expect(disagreements(rows)).toEqual([])
      expect(rows.map(({ quantity }) => quantity)).toEqual(
        expect.arrayContaining(['retained ranks', 'logits with ĝ', 'logits after pruning', 'logits of the merged model']),
      )
    },
  )

  it('ends with the retained ranks where the two derivations retain different ones, and names the run that it skipped', async () => {
    const [model, target] = [drawModel(someOptions({ rank: 3 })), { device: 'cpu', precision: 'float64' }]
    const gated = await advance(model, target, initializeBoth(model, 'sampled', 'float64'), 'sampled', 1)
    const rules: RunRules = { retain: 'budget', gateAfter: 'soft', density: 0.5 }
    const agreeing = await compareFromEnd(model, target, rules, gated, 2)
    expect([disagreements(agreeing), describeSkipped(agreeing)]).toEqual([[], []])

    viewTensor(layoutFor(model, phaseIn(gated.accelerated)), gated.accelerated.parameters, 'logTheta').reverse()
    const rows = await compareFromEnd(model, target, rules, gated, 2)
    expect(rows.at(-1)).toMatchObject({ quantity: 'retained ranks', holds: false })
    expect(describeSkipped(rows)).toEqual([
      'reference and accelerated path retained different ranks in model 3; the rest of its run was skipped',
    ])
  })
})
