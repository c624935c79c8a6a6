/** The loss of a multi-label step: the mean binary cross-entropy over examples and labels, as PyTorch's BCEWithLogitsLoss has it. */
import { expect, it } from 'vitest'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { inferenceGraph } from '../../accelerated/training/inferenceGraph.js'
import { stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { assemblyOf, feedsOf, layoutFor, phaseIn, startOf } from '../../evaluation/agreement/acceleratedSide.js'
import { toExamples } from '../../evaluation/agreement/convert.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, resultOf } from '../support/runGraph.js'
import { someOptions } from './modelOptions.js'

/** Labels of each example: one, none, all, two. */
const labelSets = [[1], [], [0, 1, 2], [0, 2]]

it('the loss of a step with several labels is the mean over examples and labels, whole or in parts', async () => {
  const model = drawModel(someOptions({ dropout: 0, lengths: [2, 4, 1, 3], classes: 3 }))
  const state = startOf(model, 'open', 'float64')
  const phase = phaseIn(state)
  const plain = assemblyOf(model, 'float64')
  const objective = sequenceClassification(plain.model, { labels: 3, problemType: 'multi_label_classification' })
  const assembly = { ...plain, objective }
  const examples = toExamples(model.batch).map((example, i) => ({ ...example, label: 0, labels: labelSets[i] ?? [] }))
  const resultsOf = (outputs: Parameters<typeof evaluate>[0], from: number, to: number) => {
    const prepared = objective.prepare(examples.slice(from, to), { seed: 0, step: 0 })
    return evaluate(outputs, {
      ...feedsOf(model, phase, model.noiseAt(model.parameters.adapters, 0), 1, 1, 'float64'),
      ...stateFeeds(layoutFor(model, phase), state, 'float64'),
      ...batchFeeds(plain, prepared, examples.length).feeds,
    })
  }
  const logits = resultOf(await resultsOf(inferenceGraph(assembly, phase), 0, 4), 'logits')
  expect(logits.length).toBe(12)
  const losses = logits.map((logit, i) => {
    const probability = 1 / (1 + Math.exp(-logit))
    return -Math.log(labelSets[Math.floor(i / 3)]?.includes(i % 3) ? probability : 1 - probability)
  })
  const mean = losses.reduce((a, b) => a + b, 0) / 12
  const { outputs } = stepGraph(assembly, phase, 'whole')
  const lossOf = async (from: number, to: number) => resultOf(await resultsOf(outputs, from, to), 'taskLoss')[0] ?? NaN
  assertClose([await lossOf(0, 4), (await lossOf(0, 1)) + (await lossOf(1, 4))], [mean, mean], { relative: 1e-12, name: 'loss' })
})
