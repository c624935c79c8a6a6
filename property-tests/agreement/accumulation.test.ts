/** A batch in parts is the batch: gradients added up over two graphs and the update of the last give the state of one whole step. */
import { describe, expect, it } from 'vitest'
import type { Vector } from '../../accelerated/training/parameterVector.js'
import { floatFeed } from '../../accelerated/runtime/feeds.js'
import { batchFeeds, stateFeeds } from '../../accelerated/training/trainFeeds.js'
import { compare } from '../../evaluation/agreement/rows.js'
import { drawModel } from '../../evaluation/agreement/model.js'
import { feedsOf, layoutFor, openStep, startOf, type Target } from '../../evaluation/agreement/segment.js'
import { namedNumbers, namedParts, toExamples } from '../../evaluation/agreement/translate.js'
import { startFrom, trainingStep } from '../../reference/index.js'
import { disagreements, someOptions } from './modelOptions.js'

const target: Target = { device: 'cpu', dtype: 'float64' }

describe('accumulation', () => {
  it.each(['sampled', 'open'] as const)('of one example and then three is a step on all four: gates %s', async (gating) => {
    // Masks belong to a batch's shape, so parts of it have others: no dropout here.
    const model = drawModel(someOptions({ dropout: 0, lengths: [2, 4, 1, 3], clip: 0.2 }))
    const state = startOf(model, gating, 'float64')
    const layout = layoutFor(model, state.modules, gating)
    const noise = model.noiseAt(model.parameters.adapters, 0)
    const [add, finish] = [
      await openStep(model, state.modules, gating, 'add', target),
      await openStep(model, state.modules, gating, 'finish', target),
    ]
    const examples = toExamples(model.batch)
    const feeds = (from: number, to: number) => ({
      ...feedsOf(model, state.modules, noise, 1, 1, 'float64', layout.size),
      ...stateFeeds(state, 'float64'),
      ...batchFeeds(model.config, examples.slice(from, to), examples.length, 'float64').feeds,
    })
    const first = await add.run(feeds(0, 1))
    const second = await finish.run({
      ...feeds(1, 4),
      gradientSum: floatFeed(first['nextGradientSum'] as Vector, [layout.size], 'float64'),
    })
    await add.release()
    await finish.release()

    const [whole, report] = trainingStep(model.config, model.settings, model.base)(startFrom(model.parameters), model.batch, noise, {
      ...model.control,
      gating,
    })
    const row = compare('steps', 1e-9)
    const parts = (name: string): ReadonlyMap<string, ArrayLike<number>> => namedParts(layout, second[name] as Vector)
    const [parameters, m, v] = [parts('nextParameters'), parts('nextFirstMoment'), parts('nextSecondMoment')]
    const sampled = gating === 'sampled'
    expect(
      disagreements([
        row('loss', [report.loss], [Number(first['loss']?.[0]) + Number(second['loss']?.[0])]),
        row('gradient norm', [report.gradientNorm], [Number(second['gradientNorm']?.[0])]),
        ...[...namedNumbers(whole, sampled)].map(([name, expected]) => row(name, expected, parameters.get(name) ?? [])),
        ...[...namedNumbers(whole.m, sampled)].map(([name, expected]) => row(`m of ${name}`, expected, m.get(name) ?? [])),
        ...[...namedNumbers(whole.v, sampled)].map(([name, expected]) => row(`v of ${name}`, expected, v.get(name) ?? [])),
      ]),
    ).toEqual([])
  })
})
