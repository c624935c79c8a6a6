/** Class weights are repeated examples, and the loss of several labels is the mean over examples and labels. */
import { describe, expect, it } from 'vitest'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { inferenceGraph } from '../../accelerated/training/inferenceGraph.js'
import { stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { buildAssembly, buildFeeds, layoutFor, phaseIn, buildInitialState } from '../../evaluation/agreement/acceleratedSide.js'
import { headOutputs, toExamples } from '../../evaluation/agreement/convert.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { bindTask } from '../../finetuning/recipe.js'
import { parseClassWeights } from '../../finetuning/tasks/classification/index.js'
import type { LoadedTask } from '../../finetuning/tasks/index.js'
import { regression } from '../../finetuning/tasks/regression/index.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, resultOf } from '../support/runGraph.js'
import { someOptions } from './modelOptions.js'

describe('class weights', () => {
  const model = drawModel(someOptions({ dropout: 0, lengths: [2, 4, 1, 3] }))
  const state = buildInitialState(model, 'open', 'float64')
  const [phase, examples] = [phaseIn(state), toExamples(model.batch).map((example, i) => ({ ...example, label: i % model.config.labels }))]

  const step = async (batch: typeof examples, weights: readonly number[] | null) => {
    const plain = buildAssembly(model, 'float64')
    const objective = sequenceClassification(plain.model, headOutputs(model.config), weights === null ? {} : { classWeights: weights })
    const prepared = objective.prepare(batch, { seed: 0, step: 0 })
    const noise = model.noiseAt(model.parameters.adapters, 0)
    const results = await evaluate(stepGraph({ ...plain, objective }, phase, 'whole').outputs, {
      ...buildFeeds(model, phase, noise, 1, 1, 'float64'),
      ...stateFeeds(layoutFor(model, phase), state, 'float64'),
      ...batchFeeds(plain, prepared, prepared.weight).feeds,
    })
    const updated = Object.keys(results)
      .filter((name) => /moment|parameters/i.test(name))
      .sort()
    return {
      taskLoss: resultOf(results, 'taskLoss'),
      norm: resultOf(results, 'gradientNorm'),
      rest: updated.flatMap((name) => resultOf(results, name)),
    }
  }

  it('class weights of 2 and 3 give the step of a batch that repeats these examples twice and three times', async () => {
    const weighted = await step(examples, [1, 2, 3].slice(0, model.config.labels))
    const repeated = await step(
      examples.flatMap((example) => Array.from({ length: 1 + example.label }, () => example)),
      null,
    )
    expect(weighted.rest.length).toBeGreaterThan(100)
    assertClose(weighted.taskLoss, repeated.taskLoss, { relative: 1e-12, name: 'loss' })
    assertClose(weighted.norm, repeated.norm, { relative: 1e-11, name: 'gradient norm' })
    assertClose(weighted.rest, repeated.rest, { relative: 1e-9, absolute: 1e-12, name: 'state' })
  })

  it('class weights of 1 do not change the step', async () => {
    assertClose((await step(examples, [1, 1, 1].slice(0, model.config.labels))).rest, (await step(examples, null)).rest, {
      relative: 1e-12,
      absolute: 1e-15,
      name: 'state',
    })
  })
})

describe('--class-weights', () => {
  const names = ['ham', 'spam']
  it("the value `balanced` gives the weights of scikit-learn's compute_class_weight", () => {
    expect(parseClassWeights('balanced', names, [1, 1, 1, 1, 0, 0])).toEqual([1.5, 0.75])
    expect(parseClassWeights('balanced', ['a', 'b', 'c'], [0, 0, 1, 1])).toEqual([2 / 3, 2 / 3, 1])
  })

  it('takes weights by label, and 1 for other labels', () => {
    expect(parseClassWeights('spam=3', names, [])).toEqual([1, 3])
    expect(parseClassWeights(' a=b = 0.5 ', ['a=b', 'c'], [])).toEqual([0.5, 1])
  })

  it.each([
    ['eggs=2', 'labels of the training data (ham, spam), got "eggs"'],
    ['spam', 'balanced, equal, or LABEL=WEIGHT with commas, each weight above 0 and at most 1000000, got "spam"'],
    ['spam=0', 'balanced, equal, or LABEL=WEIGHT with commas, each weight above 0 and at most 1000000, got "spam=0"'],
    ['spam=1,ham=1e9', 'balanced, equal, or LABEL=WEIGHT with commas, each weight above 0 and at most 1000000, got "ham=1e9"'],
  ])('refuses %s', (given, message) => {
    expect(() => parseClassWeights(given, names, [])).toThrow(`classWeights: expected ${message}`)
  })

  it('is refused in a regression', () => {
    const empty = { source: 'nowhere', examples: [], labelNames: null, skipped: [] }
    const scored = { taskType: regression, metrics: ['pearson'], selectionMetric: 'pearson' }
    const task: LoadedTask = { ...scored, name: 'scores', train: empty, evaluation: empty, labelNames: null, heldOut: false }
    expect(() => bindTask(task, { classWeights: 'balanced' })).toThrow(
      'classWeights: expected none, as a regression has no classes, got "balanced"',
    )
  })
})

/** Labels of each example: one, none, all, two. */
const labelSets = [[1], [], [0, 1, 2], [0, 2]]

it('the loss of a step with several labels is the mean over examples and labels, whole or in parts', async () => {
  const model = drawModel(someOptions({ dropout: 0, lengths: [2, 4, 1, 3], classes: 3 }))
  const state = buildInitialState(model, 'open', 'float64')
  const phase = phaseIn(state)
  const plain = buildAssembly(model, 'float64')
  const objective = sequenceClassification(plain.model, { labels: 3, problemType: 'multi_label_classification' })
  const assembly = { ...plain, objective }
  const examples = toExamples(model.batch).map((example, i) => ({ ...example, label: 0, labels: labelSets[i] ?? [] }))
  const resultsOf = (outputs: Parameters<typeof evaluate>[0], from: number, to: number) => {
    const prepared = objective.prepare(examples.slice(from, to), { seed: 0, step: 0 })
    return evaluate(outputs, {
      ...buildFeeds(model, phase, model.noiseAt(model.parameters.adapters, 0), 1, 1, 'float64'),
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
