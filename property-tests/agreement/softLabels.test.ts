/** Soft labels in a step of training: certain ones are hard labels, and others have the loss and the slopes of the reference. */
import { describe, it } from 'vitest'
import { sequenceClassification, type LabeledExample, type LabelLoss } from '../../accelerated/objectives/sequenceClassification.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { inferenceGraph } from '../../accelerated/training/inferenceGraph.js'
import { stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { buildAssembly, buildFeeds, layoutFor, phaseIn, buildInitialState } from '../../evaluation/agreement/acceleratedSide.js'
import { headOutputs, toExamples } from '../../evaluation/agreement/convert.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { softCrossEntropy, tensor } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, resultOf } from '../support/runGraph.js'
import { someOptions } from './modelOptions.js'

describe('soft labels', () => {
  const model = drawModel(someOptions({ dropout: 0, lengths: [2, 4, 1, 3], classes: 3 }))
  const state = buildInitialState(model, 'open', 'float64')
  const [phase, plain] = [phaseIn(state), buildAssembly(model, 'float64')]
  const examples: readonly LabeledExample[] = toExamples(model.batch).map((example, i) => ({ ...example, label: i % 3 }))

  /** A batch, or two parts of one of four examples. */
  const step = async (batch: readonly LabeledExample[], loss: LabelLoss, graph: 'step' | 'logits' = 'step') => {
    const objective = sequenceClassification(plain.model, headOutputs(model.config), loss)
    const prepared = objective.prepare(batch, { seed: 0, step: 0 })
    const assembly = { ...plain, objective }
    const outputs = graph === 'step' ? stepGraph(assembly, phase, 'whole').outputs : inferenceGraph(assembly, phase)
    return evaluate(outputs, {
      ...buildFeeds(model, phase, model.noiseAt(model.parameters.adapters, 0), 1, 1, 'float64'),
      ...stateFeeds(layoutFor(model, phase), state, 'float64'),
      ...batchFeeds(plain, prepared, graph === 'step' ? 4 : prepared.weight).feeds,
    })
  }
  const soft: readonly LabeledExample[] = examples.map((example, i) => ({
    ...example,
    shares:
      i === 3
        ? undefined
        : [
            [i % 3, 0.7],
            [(i + 1) % 3, 0.3],
          ], // prettier-ignore
  }))
  /** p of each example at temperature 2, by hand, times the weights of the classes. */
  const [high, low] = [Math.sqrt(0.7) / (Math.sqrt(0.7) + Math.sqrt(0.3)), Math.sqrt(0.3) / (Math.sqrt(0.7) + Math.sqrt(0.3))]
  const weights = [1, 2, 4]
  const p = [high, low, 0, 0, high, low, low, 0, high, 1, 0, 0].map((share, i) => share * (weights[i % 3] ?? 0))

  it('of one class are the step of that label', async () => {
    const certain = examples.map((example) => ({ ...example, shares: [[example.label, 1] as const] }))
    const [hard, one] = [await step(examples, {}), await step(certain, { softTemperature: 1 })]
    for (const name of Object.keys(hard).filter((output) => /moment|parameters|taskLoss|gradientNorm/i.test(output)))
      assertClose(resultOf(one, name), resultOf(hard, name), { relative: 1e-11, absolute: 1e-14, name })
  })

  it('have the loss of the reference, with a temperature, class weights and a label among them, whole and in parts', async () => {
    const logits = resultOf(await step(soft, {}, 'logits'), 'logits')
    const loss = { softTemperature: 2, classWeights: weights }
    const expected = softCrossEntropy(tensor([4, 3], logits), tensor([4, 3], p), 2)
    const lossOf = async (from: number, to: number): Promise<number> =>
      resultOf(await step(soft.slice(from, to), loss), 'taskLoss')[0] ?? NaN
    assertClose([await lossOf(0, 4), (await lossOf(0, 1)) + (await lossOf(1, 4))], [expected, expected], { relative: 1e-12 })
  })
})
