/** Replicas that train apart: the ends of their rounds, who has which batch, where the state keeps moments, and settings that do not fit. */
import { describe, expect, it } from 'vitest'
import { zeros } from '../../../accelerated/parameters/vectors.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { batchOf, endOfRound, memoryNames, replicaMemory, replicaVectors } from '../../../accelerated/training/replicas.js'
import { runLength } from '../../../accelerated/training/runLength.js'
import { methodOf, resolveSettings } from '../../../accelerated/training/settings.js'
import type { Model } from '../../../accelerated/models/architecture.js'

const ofThree: SettingsInput = { method: 'lora', gradientAccumulationSteps: 3, syncEvery: 4 }

describe('a round', () => {
  it('ends at a multiple of its steps, or with the run', () => {
    const ends = (from: number, steps: number) => endOfRound(from, steps, { syncEvery: 4 })
    expect([ends(0, 100), ends(4, 100), ends(6, 100), ends(8, 10), ends(0, 4)]).toEqual([4, 8, 8, 10, 4])
  })

  it('gives each replica a batch of a step, and some of them twice where there are too few', () => {
    const of = (batches: string) => [0, 1, 2, 3, 4].map((replica) => batchOf(replica, [...batches])).join('')
    expect([of('01234'), of('012'), of('0')]).toEqual(['01234', '01201', '00000'])
  })

  it('is as long as evaluations allow: their default is rounded up to the end of one', () => {
    const model = { spec: { maxPositions: 512 } } as Model
    const planOf = (input: SettingsInput) => runLength(methodOf('lora'), resolveSettings({ ...ofThree, ...input }), model, 32 * 30)
    expect(planOf({ epochs: 2 })).toMatchObject({ steps: 20, stepsPerEpoch: 10, evalSteps: 12 })
    expect(planOf({ epochs: 2, evalSteps: 8 }).evalSteps).toBe(8)
    expect(() => planOf({ maxSteps: 3 })).toThrow('syncEvery: expected at most the 3 steps of the run, got 4')
  })
})

describe('the state of replicas', () => {
  it('has the outer momentum and the moments of each replica under names of their own', () => {
    const settings = resolveSettings(ofThree)
    const names = memoryNames({ method: methodOf('lora'), settings }, null)
    expect(names).toEqual(['outerMomentum', 'firstMoment 2', 'secondMoment 2', 'firstMoment 3', 'secondMoment 3'])
    const vector = (x: number) => zeros(2, 'float32').fill(x)
    const [parameters, firstMoment, secondMoment] = [vector(1), vector(2), vector(3)]
    const memory = Object.fromEntries(names.map((name, i) => [name, vector(4 + i)]))
    const vectors = replicaVectors({ step: 0, phase: null, parameters, firstMoment, secondMoment, memory }, 3)
    expect(vectors.moments.map((moments) => [moments.firstMoment[0], moments.secondMoment[0]])).toEqual([
      [2, 3],
      [5, 6],
      [7, 8],
    ])
    expect(replicaMemory(vectors)).toEqual({ firstMoment, secondMoment, memory })
    expect(memoryNames({ method: methodOf('lora'), settings: resolveSettings({ method: 'lora' }) }, null)).toEqual([])
  })
})

describe('settings of replicas', () => {
  it.each<readonly [SettingsInput, string]>([
    [{ syncEvery: 0 }, 'syncEvery: expected '],
    [{ outerMomentum: 1 }, 'outerMomentum: expected '],
    [{ gradientAccumulationSteps: 1 }, 'gradientAccumulationSteps: expected at least 2 with --sync-every: the number of replicas, got 1'],
    [{ evalSteps: 6 }, 'evalSteps: expected a multiple of --sync-every 4, since a round must be complete, got 6'],
    [{ saveSteps: 3 }, 'saveSteps: expected a multiple of --sync-every 4, since a round must be complete, got 3'],
    [
      { method: 'adalora' },
      'method: expected lora, houlsby, pfeiffer, prefix, prompt or full with --sync-every, since replicas need the same ranks throughout, got adalora',
    ],
    [{ method: 'salora' }, 'method: expected lora, houlsby, '],
  ])('are refused in one line: %j', (input, message) => {
    expect(() => resolveSettings({ ...ofThree, ...input } as SettingsInput)).toThrow(message)
    if (input.syncEvery === undefined && input.outerMomentum === undefined) resolveSettings({ ...ofThree, ...input, syncEvery: 1 })
  })
})
