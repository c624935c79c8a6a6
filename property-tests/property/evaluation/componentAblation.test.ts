/** Ablated components: the gates' own choice ends as an undisturbed run does, and a component without its column is one with a shut gate. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { RunState } from '../../../accelerated/parameters/runState.js'
import { inferenceStateOf } from '../../../accelerated/training/evaluation.js'
import { resolveSettings } from '../../../accelerated/training/settings.js'
import {
  ablatedLosses,
  componentsOf,
  scoresOn,
  trainOn,
  trainToCut,
  keptWithin,
  withOnly,
} from '../../../evaluation/studies/componentAblation.js'
import { prepareRun, type PreparedRun } from '../../../finetuning/runs/prepareRun.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { toyFile } from '../../cli/toyTask.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('component-ablation')
const at = (name: string): string => join(folder, name)
const density = 0.25

let run: PreparedRun
let state: RunState
beforeAll(async () => {
  await writeTinyModel(at('tiny'))
  await writeFile(at('train.tsv'), toyFile(64))
  await writeFile(at('eval.tsv'), toyFile(24))
  const options = {
    ...{ model: at('tiny'), task: { task: at('train.tsv'), evalData: at('eval.tsv') }, output: at('run'), resume: false },
    settings: resolveSettings({
      method: 'salora',
      gateStart: 0.2,
      gateEnd: 0.5,
      rank: 4,
      density,
      maxSteps: 20,
      maxLength: 32,
      batchSize: 8,
      learningRate: 5e-2,
      threads: 1,
      device: 'cpu',
    }),
  }
  const preparing = prepareRun(options, new AbortController().signal)
  let next = await preparing.next()
  while (next.done !== true) next = await preparing.next()
  run = next.value
  state = await trainToCut(run)
})

describe('a SaLoRA run that is stopped at T_end', () => {
  it('has all components, and gates', () => {
    expect(state).toMatchObject({ step: 10, phase: { stage: 'gated' } })
    const { costs, logTheta, sizes } = componentsOf(run.task, state)
    expect(new Set([costs.length, logTheta.length, sizes.length]).size).toBe(1)
    expect(new Set(logTheta).size).toBeGreaterThan(1)
    // τ = 1, γ = −0.1, ζ = 1.1: a gate is shut where 1.2 σ(log θ) ≤ 0.1
    expect(sizes.map((size) => size > 0)).toEqual(logTheta.map((x) => 1.2 / (1 + Math.exp(-x)) > 0.1))
  })

  it('ends in the bits of a run that was not stopped, if it continues with the choice of its gates', async () => {
    const components = componentsOf(run.task, state)
    const goesOn = await trainOn(run, withOnly(run.task, state, keptWithin(components, components.logTheta, density)))
    expect(goesOn.parameters).toEqual((await trainOn(run, run.start)).parameters)
  })

  it('ends in other numbers with other components', async () => {
    const components = componentsOf(run.task, state)
    const [own, worst] = [components.logTheta, components.logTheta.map((value) => -value)].map((order) =>
      keptWithin(components, order, density),
    )
    const ends = []
    for (const kept of [own, worst]) ends.push(await trainOn(run, withOnly(run.task, state, kept ?? new Set())))
    expect(ends[0]?.parameters).not.toEqual(ends[1]?.parameters)
  })

  it("has the loss without a component's column that it has with this component's gate shut", async () => {
    const { costs, sizes } = componentsOf(run.task, state)
    const removed = [...costs.keys()].sort((a, b) => (sizes[b] ?? 0) - (sizes[a] ?? 0)).slice(0, 3) // their gates are open
    const losses = await ablatedLosses(run, state, [() => false, ...removed.map((j) => (i: number) => i === j)])
    for (const [place, j] of removed.entries()) {
      const others = new Set(costs.map((_, i) => i).filter((i) => i !== j))
      const shut = await scoresOn(run, inferenceStateOf(run.task, withOnly(run.task, state, others)))
      expect(losses[place + 1]).toBe(shut['loss'])
      expect(losses[place + 1]).not.toBe(losses[0])
    }
  })
})

describe('a choice within a budget', () => {
  it('takes the greatest first, and whatever still fits: its cost is within the budget, and nothing that is left out fits', () =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer()), { minLength: 1, maxLength: 20 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (drawn, share) => {
          const [costs, order] = [drawn.map(([cost]) => cost), drawn.map(([, value]) => value)]
          const kept = keptWithin({ costs }, order, share)
          const sum = (members: ReadonlyArray<number>): number => members.reduce((total, j) => total + (costs[j] ?? NaN), 0)
          const left = share * sum([...costs.keys()]) - sum([...kept])
          expect(left).toBeGreaterThan(-1e-9) // b · Σ is exact up to rounding
          for (const j of costs.keys()) {
            if (kept.has(j)) continue
            const before = [...kept].filter((i) => (order[i] ?? 0) > (order[j] ?? 0) || (order[i] === order[j] && i < j))
            expect(share * sum([...costs.keys()]) - sum(before)).toBeLessThan(costs[j] ?? NaN)
          }
        },
      ),
      { seed: SEED, numRuns: 100 },
    ))
})
