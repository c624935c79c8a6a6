/** SaLoRA with classes of tokens: the head and the loss, hand-derived against automatic, on models drawn at random. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tokenClassification } from '../../finetuning/tasks/tokenClassification/objective.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { zeros } from '../../accelerated/parameters/vectors.js'
import {
  buildAssembly,
  buildFeeds,
  layoutFor,
  openStep,
  phaseIn,
  runStep,
  buildInitialState,
} from '../../evaluation/agreement/acceleratedSide.js'
import { compareStep, compareSteps } from '../../evaluation/agreement/compareSteps.js'
import { namedNumbers, namedParts, toTaggedExamples } from '../../evaluation/agreement/convert.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import type { ModelOptions } from '../../evaluation/agreement/drawModel.js'
import { compare } from '../../evaluation/agreement/rows.js'
import { startFrom, trainingStep } from '../../reference/index.js'
import { SEED } from '../support/seed.js'
import { disagreements, modelOptions, someOptions } from './modelOptions.js'

const tokens = { taskType: 'tokens' } as const

const agrees = async (options: ModelOptions, dtype: 'float64' | 'float32', gating: 'sampled' | 'open' = 'sampled'): Promise<void> => {
  expect(disagreements(await compareStep(drawModel({ ...options, ...tokens }), { device: 'cpu', precision: dtype }, gating))).toEqual([])
}

describe(`a step of token classification (seed ${SEED})`, () => {
  it('has the same values and gradients in float64 to 1e-9', () =>
    fc.assert(
      fc.asyncProperty(modelOptions, (options) => agrees(options, 'float64')),
      { seed: SEED, numRuns: 6 },
    ))

  it('has the same values and gradients in float32 to 1e-4', () => agrees(someOptions({ family: 'bert', dropout: 0.5 }), 'float32'))

  it.each([
    ['one token, one example', { lengths: [1], rank: 1 }],
    ['padding: lengths 5, 1 and 2', { lengths: [5, 1, 2], dropout: 0.5 }],
  ] as const)('agrees in float64: %s', (_, change) => agrees(someOptions(change), 'float64'))

  it('compares numbers of the token head that are not zero', async () => {
    const rows = await compareStep(drawModel(someOptions(tokens)), { device: 'cpu', precision: 'float64' })
    expect(rows.map(({ quantity }) => quantity)).toEqual(
      expect.arrayContaining(['taskLoss', 'gradient of classifier.weight', 'gradient of classifier.bias']),
    )
    rows.forEach(({ size, reference, quantity }) => expect(size > 0 && reference !== 0, quantity).toBe(true))
  })

  it('ten steps end in the same parameters and moments in float64', async () => {
    const options = someOptions({ ...tokens, family: 'bert', clip: 0.5 })
    expect(disagreements(await compareSteps(drawModel(options), { device: 'cpu', precision: 'float64' }, 10))).toEqual([])
  })
})

describe('accumulated token classification', () => {
  it('counts tokens: a part of one labeled token and a part of six equal a step on all seven', async () => {
    const target = { device: 'cpu', precision: 'float64' } as const
    const model = drawModel(someOptions({ ...tokens, dropout: 0, lengths: [2, 4, 1, 3], clip: 0.2 }))
    const state = buildInitialState(model, 'open', 'float64')
    const [phase, assembly] = [phaseIn(state), buildAssembly(model, 'float64')]
    const layout = layoutFor(model, phase)
    const examples = toTaggedExamples(model.batch)
    const { prepare } = tokenClassification(assembly.model, model.config)
    const noise = model.noiseAt(model.parameters.adapters, 0)
    const [whole, first, rest] = [examples, examples.slice(0, 1), examples.slice(1)].map((part) => prepare(part, { seed: 0, step: 0 }))
    expect([whole?.weight, first?.weight, rest?.weight]).toEqual([7, 1, 6])
    const feeds = (part: NonNullable<typeof first>) => ({
      ...buildFeeds(model, phase, noise, 1, 1, 'float64'),
      ...stateFeeds(layout, state, 'float64'),
      ...batchFeeds(assembly, part, 7).feeds,
    })
    const [add, finish] = [await openStep(model, phase, 'add', target), await openStep(model, phase, 'finish', target)]
    const gradientSum = zeros(layout.size, 'float64')
    collect(layout, { gradientSum }, await add.run(feeds(first!), resultsInto(layout, { gradientSum })))
    const sum = blockFeeds(layout, 'gradientSum', gradientSum, 'float64')
    const { state: next } = await runStep(finish, layout, state, { ...feeds(rest!), ...sum }, 'float64')
    await add.release()
    await finish.release()
    const [expected] = trainingStep(model.config, model.settings, model.base)(startFrom(model.parameters), model.batch, noise, {
      ...model.control,
      gating: 'open',
    })
    const row = compare('steps', 1e-9)
    const parts = namedParts(layout, next.parameters)
    expect(disagreements([...namedNumbers(expected, false)].map(([name, numbers]) => row(name, numbers, parts.get(name) ?? [])))).toEqual(
      [],
    )
  })
})
