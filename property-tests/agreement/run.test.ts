/** A run from plain steps through the gate window and retention to what it hands over. */
import { describe, expect, it } from 'vitest'
import { compareRun, type RunRules } from '../../evaluation/agreement/compareRun.js'
import type { ModelOptions } from '../../evaluation/agreement/model.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { disagreements, someOptions } from './modelOptions.js'

const cases: ReadonlyArray<readonly [RunRules, Partial<ModelOptions>, 'float64' | 'float32']> = [
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
})
