/** Gradient accumulation: gradients summed over two graphs, and the update of the last, give the state of one step on the whole batch. */
import { describe, expect, it } from 'vitest'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { zeros } from '../../accelerated/parameters/vectors.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { compare } from '../../evaluation/agreement/rows.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import {
  buildAssembly,
  buildFeeds,
  layoutFor,
  openStep,
  phaseIn,
  runStep,
  buildInitialState,
  type Target,
} from '../../evaluation/agreement/acceleratedSide.js'
import { headOutputs, namedNumbers, namedParts, toExamples } from '../../evaluation/agreement/convert.js'
import { startFrom, trainingStep } from '../../reference/index.js'
import { disagreements, someOptions } from './modelOptions.js'

type Parts = ReturnType<typeof namedParts>
const target: Target = { device: 'cpu', precision: 'float64' }

describe('gradient accumulation', () => {
  it.each(['sampled', 'open'] as const)(
    'a step that accumulates one example and then three equals a step on all four: gates %s',
    async (gating) => {
      // Masks belong to a batch's shape, so parts of it have others: no dropout here.
      const model = drawModel(someOptions({ dropout: 0, lengths: [2, 4, 1, 3], clip: 0.2 }))
      const state = buildInitialState(model, gating, 'float64')
      const phase = phaseIn(state)
      const layout = layoutFor(model, phase)
      const assembly = buildAssembly(model, 'float64')
      const noise = model.noiseAt(model.parameters.adapters, 0)
      const [add, finish] = [await openStep(model, phase, 'add', target), await openStep(model, phase, 'finish', target)]
      const examples = toExamples(model.batch)
      const feeds = (from: number, to: number) => ({
        ...buildFeeds(model, phase, noise, 1, 1, 'float64'),
        ...stateFeeds(layout, state, 'float64'),
        ...batchFeeds(
          assembly,
          sequenceClassification(assembly.model, headOutputs(model.config)).prepare(examples.slice(from, to), { seed: 0, step: 0 }),
          examples.length,
        ).feeds,
      })
      const gradientSum = zeros(layout.size, 'float64')
      const first = await add.run(feeds(0, 1), resultsInto(layout, { gradientSum }))
      collect(layout, { gradientSum }, first)
      const sum = blockFeeds(layout, 'gradientSum', gradientSum, 'float64')
      const { state: next, results: second } = await runStep(finish, layout, state, { ...feeds(1, 4), ...sum }, 'float64')
      await add.release()
      await finish.release()

      const [wholeBatch, report] = trainingStep(model.config, model.settings, model.base)(startFrom(model.parameters), model.batch, noise, {
        ...model.control,
        gating,
      })
      const row = compare('steps', 1e-9)
      const [parameters, m, v] = [next.parameters, next.firstMoment, next.secondMoment].map((vector) => namedParts(layout, vector)) as [
        Parts,
        Parts,
        Parts,
      ]
      const sampled = gating === 'sampled'
      expect(
        disagreements([
          row('loss', [report.loss], [Number(first['loss']?.[0]) + Number(second['loss']?.[0])]),
          row('gradient norm', [report.gradientNorm], [Number(second['gradientNorm']?.[0])]),
          ...[...namedNumbers(wholeBatch, sampled)].map(([name, expected]) => row(name, expected, parameters.get(name) ?? [])),
          ...[...namedNumbers(wholeBatch.m, sampled)].map(([name, expected]) => row(`m of ${name}`, expected, m.get(name) ?? [])),
          ...[...namedNumbers(wholeBatch.v, sampled)].map(([name, expected]) => row(`v of ${name}`, expected, v.get(name) ?? [])),
        ]),
      ).toEqual([])
    },
  )
})
