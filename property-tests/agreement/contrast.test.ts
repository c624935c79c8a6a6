/** The contrast between the classes of a sentence encoder: hand-derived against automatic, by central differences, and over micro-batches. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gradient } from '../../accelerated/graph/gradient.js'
import { constant, input } from '../../accelerated/graph/operators.js'
import { encoderModel } from '../../accelerated/models/bert/bert.js'
import { batchInputs } from '../../accelerated/models/batchInputs.js'
import { plainHost } from '../../accelerated/models/host.js'
import { sentenceEncoder } from '../../accelerated/models/layers/classifierHead.js'
import { packBatch } from '../../accelerated/models/packing.js'
import { sequenceClassification, type LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { contrastLoss, contrastLossVjp, generate, meanPool, meanPoolVjp, normal, type Tensor } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, float64, resultOf } from '../support/runGraph.js'
import { SEED } from '../support/seed.js'
import { someOptions } from './modelOptions.js'

const { config } = drawModel(someOptions())
const width = config.hiddenSize
const model = sentenceEncoder(encoderModel({ ...config, embeddingSize: width }))
const classes = 3

/** Texts of these lengths and classes. */
const toExamples = (rows: readonly (readonly [length: number, label: number])[]): readonly LabeledExample[] =>
  rows.map(([length, label], i) => ({ inputIds: new Array<number>(length).fill(i), label, row: i + 1 }))

/** A head of zeros: the cross-entropy of its logits is ln 3, and has no gradient. */
const host = plainHost((name) => {
  const shape = name.endsWith('bias') ? [classes] : [classes, width]
  return constant(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape, 'float64')
})

/** The loss of these examples as a part of a step over `whole`, and its gradient with respect to the hidden states. */
const accelerated = async (examples: readonly LabeledExample[], hidden: Tensor, contrast: number, whole = examples.length) => {
  const outputs = { labels: classes, problemType: 'single_label_classification' } as const
  const states = input('hidden', ['tokens', width], 'float64')
  const forward = () => ({ hidden: states, host, dtype: 'float64' as const })
  const objective = sequenceClassification(model, outputs, { contrast })
  const value = objective.loss({ forward, baseForward: forward }, batchInputs('float64'))
  const [slope] = gradient(value, [states])
  const prepared = objective.prepare(examples, { seed: 0, step: 0 })
  const packed = packBatch(prepared.texts, 0, 'float64')
  const feeds = { ...prepared.feeds(packed, whole, 'float64'), hidden: float64(hidden.data, hidden.shape) }
  const results = await evaluate({ value, slope: slope! }, feeds)
  return { value: resultOf(results, 'value')[0]!, slope: resultOf(results, 'slope') }
}

const reference = (examples: readonly LabeledExample[], hidden: Tensor) => {
  const lengths = examples.map(({ inputIds }) => inputIds.length)
  const [pooled, labels] = [meanPool(hidden, lengths), examples.map(({ label }) => label)]
  return { value: contrastLoss(pooled, labels), slope: meanPoolVjp(contrastLossVjp(pooled, labels, 1), lengths) }
}

const rows = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: classes - 1 })), { minLength: 1, maxLength: 6 })
const hiddenOf = (examples: readonly LabeledExample[], seed: number): Tensor =>
  normal([examples.reduce((sum, { inputIds }) => sum + inputIds.length, 0), width])(seed)[0]

describe('the contrast between classes', () => {
  it(`has the value and the gradient of the reference in float64 to 1e-9 (seed ${SEED})`, () =>
    fc.assert(
      fc.asyncProperty(
        rows,
        fc.integer({ min: 0, max: 1e6 }),
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        async (drawn, seed, weight) => {
          const examples = toExamples(drawn)
          const hidden = hiddenOf(examples, seed)
          const [ours, expected] = [await accelerated(examples, hidden, weight), reference(examples, hidden)]
          assertClose([ours.value], [Math.log(classes) + weight * expected.value], { relative: 1e-9, name: 'loss' })
          const slope = expected.slope.data.map((x) => weight * x)
          assertClose(ours.slope, slope, { relative: 1e-8, absolute: 1e-11, name: 'gradient' })
        },
      ),
      { seed: SEED, numRuns: 12 },
    ))

  it('has the gradient of central differences in the reference', () => {
    const examples = toExamples([
      [2, 0],
      [1, 1],
      [3, 0],
      [2, 2],
    ])
    const hidden = hiddenOf(examples, SEED)
    const at = (i: number, step: number): number =>
      reference(
        examples,
        generate(hidden.shape, (j) => hidden.data[j]! + (i === j ? step : 0)),
      ).value
    const differences = Array.from(hidden.data, (_, i) => (at(i, 1e-5) - at(i, -1e-5)) / 2e-5)
    expect(Math.max(...differences.map(Math.abs))).toBeGreaterThan(0.01)
    assertClose(reference(examples, hidden).slope.data, differences, { relative: 1e-5, absolute: 1e-8, name: 'gradient' })
  })

  it('is the mean over pairs, each of them weighed once: 0 for texts of one class that are one, ½ for two classes that are', async () => {
    const [same, other] = [toExamples([[1, 0], [1, 0]]), toExamples([[1, 0], [1, 1]])] // biome-ignore format: two pairs
    const equal = generate([2, width], (i) => (i % width) + 1)
    for (const [examples, expected] of [[same, 0], [other, 0.5]] as const) // biome-ignore format: two cases
      expect((await accelerated(examples, equal, 1)).value).toBeCloseTo(Math.log(classes) + expected, 9)
  })

  it('counts a micro-batch by its share of the step', async () => {
    const examples = toExamples([
      [2, 0],
      [1, 1],
    ])
    const hidden = hiddenOf(examples, SEED)
    const [whole, part] = [await accelerated(examples, hidden, 2), await accelerated(examples, hidden, 2, 8)]
    expect(part.value).toBeCloseTo(whole.value / 4, 12)
  })
})
