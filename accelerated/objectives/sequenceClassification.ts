/** Sequence classification and regression: a class, several classes or a number for each example, from one row of it. */
import type { Expression, FloatType } from '../graph/expression.js'
import { add, input, mul, reduceSum } from '../graph/operators.js'
import type { Model, Head } from '../models/architecture.js'
import { floatFeed, int32Feed, scalarFeed, type Feed } from '../engines/feeds.js'
import { binaryCrossEntropySum, contrastSum, crossEntropies, crossEntropySum, softCrossEntropySum, squaredErrorSum } from './losses.js'
import type { Shares } from '../probe/linearModel.js'
import { pooledFeeds, pooledRows } from './pooledRows.js'
import { headTensors, type ModelOutput, type Objective, type TrainingExample, type HeadInFiles, type HeadNumbers } from './objective.js'
import type { Trainable, Initial } from '../parameters/layout.js'
import { outputTensors, type SequenceOutputs } from '../models/modelOutputs.js'
import { mean, standardDeviation } from 'simple-statistics'
import { modelInitial } from '../parameters/initialization.js'

// The scale of a regression's scores. Training sees scores of mean 0 and deviation 1, and files have the head in the scores' unit.
/** Training sees (score − mean) / deviation. */
type ScoreScale = { readonly mean: number; readonly deviation: number }

/** Mean and standard deviation (of the population) of at least one score; the deviation of equal scores is 1. */
export const fitScoreScale = (scores: readonly number[]): ScoreScale => {
  const [center, deviation] = [mean([...scores]), standardDeviation([...scores])]
  return { mean: center, deviation: deviation > roundingError * Math.abs(center) ? deviation : 1 }
}

/** What rounding may leave of the deviation of equal scores, as a share of them. */
const roundingError = 1e-12

/** A scale as a head can have it in a file: without a bias, it cannot add a mean. So the deviation is from 0 then. */
export const representable = ({ mean, deviation }: ScoreScale, head: Pick<Head, 'tensors'>, outputs: readonly string[]): ScoreScale =>
  outputs.some((name) => head.tensors.get(name)?.length === 1) ? { mean, deviation } : { mean: 0, deviation: Math.hypot(mean, deviation) }

/** σ z + μ, and (y − μ) / σ */
export const toUnit = ({ mean, deviation }: ScoreScale, scaled: number): number => deviation * scaled + mean
export const toScaled = ({ mean, deviation }: ScoreScale, score: number): number => (score - mean) / deviation

export const headInFiles = (scale: ScoreScale, head: Pick<Head, 'tensors'>, outputs: readonly string[]): HeadInFiles => {
  const isBias = (name: string): boolean => head.tensors.get(name)?.length === 1
  const mapped =
    (ofBias: (x: number) => number, ofMatrix: (x: number) => number) =>
    (numbers: HeadNumbers): HeadNumbers =>
      new Map(
        [...numbers].map(([name, data]) => [
          name,
          outputs.includes(name) ? Float64Array.from(data, isBias(name) ? ofBias : ofMatrix) : data,
        ]),
      )
  return {
    write: mapped(
      (b) => toUnit(scale, b),
      (w) => scale.deviation * w,
    ),
    read: mapped(
      (b) => toScaled(scale, b),
      (w) => w / scale.deviation,
    ),
  }
}

/** A new head begins as ever; the checkpoint's own has the unit of the scores. */
const scaledInitial = ({ read }: HeadInFiles): Initial => ({
  ...modelInitial,
  fromCheckpoint: async ({ name, shape }, checkpoint) => {
    const stored = await checkpoint(name, shape)
    return stored === undefined ? undefined : read(new Map([[name, stored]])).get(name)
  },
})

/** label: a class, or the number of a regression · labels: the classes of a multi-label example · shares: the probabilities of the classes */
export type LabeledExample = TrainingExample & {
  readonly label: number
  readonly labels?: readonly number[] | undefined
  readonly shares?: Shares | undefined
}

export type LabelLoss = {
  /** One for each class. The loss is Σ wᵢ lᵢ / Σ wᵢ over the examples of a step, as in PyTorch's CrossEntropyLoss: an example counts wᵢ times. */
  readonly classWeights?: readonly number[]
  /** Of a regression: the loss and the trained head are of scaled scores, answers and files of the scores themselves. */
  readonly scoreScale?: ScoreScale
  /**
   * Of soft labels: the temperature T of T² CE(p at T, softmax(z / T)) (Hinton et al., 2015). It is the mean over the examples, also with class
   * weights, −Σ wₖ pₖ log qₖ with q = softmax(z), as in PyTorch's CrossEntropyLoss with probabilities.
   */
  readonly softTemperature?: number
  /**
   * Weight of the contrast between classes, on a head that reads rows of length 1: the mean over all pairs of a micro-batch of the squared distance
   * of their cosine from 1 (one class) or 0 (two). SetFit (Tunstall et al., 2022) trains on such pairs alone, one by one.
   */
  readonly contrast?: number
}

/** The shares of an example at a temperature, pᵏ ^ (1 / T), times the weights of the classes; 1 for its class if it has none. */
export const weighedShares =
  (classWeights: readonly number[] | undefined, temperature = 1) =>
  ({ label, shares = [[label, 1]] }: LabeledExample): Shares => {
    const softened = temperature === 1 ? shares : shares.map(([k, share]) => [k, share ** (1 / temperature)] as const)
    const total = softened.reduce((sum, [, share]) => sum + share, 0)
    return softened.map(([k, share]) => [k, (share / total) * (classWeights?.[k] ?? 1)])
  }

/** Answers: [labels] for each example. */
export const sequenceClassification = (
  model: Model,
  { labels, problemType }: Pick<SequenceOutputs, 'labels' | 'problemType'>,
  { classWeights: givenWeights, scoreScale, softTemperature, contrast = 0 }: LabelLoss = {},
): Objective<LabeledExample, readonly number[]> => {
  const classWeights = softTemperature === undefined ? givenWeights : undefined // soft labels have them in their shares
  const findClassWeight = ({ label }: LabeledExample): number => classWeights?.[label] ?? 1
  const sumWeights = (examples: readonly LabeledExample[]): number => examples.reduce((sum, example) => sum + findClassWeight(example), 0)
  const head = model.sequenceHead(labels)
  const scaling = scoreScale === undefined ? unscaled : scaledHead(model, scoreScale)
  const [regression, multiLabel] = [problemType === 'regression', problemType === 'multi_label_classification']
  const logits = (output: ModelOutput): Expression => head.outputs(pooledRows(model, output), output.host)
  const lossSum = (outputs: Expression, dtype: FloatType): Expression => {
    if (multiLabel) return binaryCrossEntropySum(outputs, input('labels', ['batch', labels], 'int32'))
    if (regression) return squaredErrorSum(outputs, input('labels', ['batch'], dtype))
    if (softTemperature !== undefined) return softCrossEntropySum(outputs, input('labels', ['batch', labels], dtype), softTemperature)
    const target = input('labels', ['batch'], 'int32')
    return classWeights === undefined
      ? crossEntropySum(outputs, target)
      : reduceSum(mul(crossEntropies(outputs, target), input('exampleWeights', ['batch'], dtype)))
  }
  const labelsFeed = (examples: readonly LabeledExample[], dtype: FloatType): Feed => {
    if (multiLabel) return int32Feed(indicators(examples, labels), [examples.length, labels])
    if (softTemperature !== undefined) {
      const dense = toDense(examples.map(weighedShares(givenWeights, softTemperature)), labels)
      return floatFeed(dense, [examples.length, labels], dtype)
    }
    const all = examples.map(({ label }) => scaling.label(label))
    return regression ? floatFeed(all, [all.length], dtype) : int32Feed(Int32Array.from(all))
  }
  return {
    name: 'sequence',
    tensors: (groups) => scaling.tensors(headTensors(head, groups)),
    ...scaling.head,
    outputs: ({ forward }, batch) => ({ logits: logits(forward(batch)) }),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      const { dtype } = output
      const loss = mul(lossSum(logits(output), dtype), input('lossWeight', [], dtype))
      if (contrast === 0) return loss
      const rows = head.features(pooledRows(model, output), output.host)
      return add(loss, mul(contrastSum(rows, input('labels', ['batch'], 'int32')), input('contrastWeight', [], dtype)))
    },
    prepare: (examples) => ({
      texts: examples,
      weight: sumWeights(examples),
      feeds: (packed, whole, dtype) => ({
        ...pooledFeeds(model, examples, packed, dtype),
        labels: labelsFeed(examples, dtype),
        ...(classWeights === undefined ? {} : { exampleWeights: floatFeed(examples.map(findClassWeight), [examples.length], dtype) }),
        lossWeight: scalarFeed(1 / (multiLabel ? whole * labels : whole), dtype), // the mean over labels and examples, as PyTorch's
        ...(contrast === 0
          ? {}
          : { contrastWeight: scalarFeed((contrast * sumWeights(examples)) / (whole * examples.length ** 2), dtype) }),
      }),
      read: ({ logits: read }) =>
        examples.map((_, i) => Array.from({ length: labels }, (__, j) => scaling.answer(Number(read?.[i * labels + j])))),
    }),
  }
}

/** The scores as a head of this model learns them. */
export const labelScaling =
  ({ sequenceHead }: Model, scale: ScoreScale) =>
  (label: number): number =>
    toScaled(representable(scale, sequenceHead(1), outputTensors(sequenceHead)), label)

/** The features that the head's last layer reads, one row for each example, on the same trained tensors as the objective. */
export const sequenceFeatures = (
  model: Model,
  outputs: Pick<SequenceOutputs, 'labels' | 'problemType'>,
): Objective<LabeledExample, ArrayLike<number>> => {
  const { tensors, loss } = sequenceClassification(model, outputs)
  const head = model.sequenceHead(outputs.labels)
  return {
    name: 'features',
    tensors,
    loss,
    outputs: ({ forward }, batch) => {
      const output = forward(batch)
      return { features: head.features(pooledRows(model, output), output.host) }
    },
    prepare: (examples) => ({
      texts: examples,
      weight: examples.length,
      feeds: (packed, _, dtype) => pooledFeeds(model, examples, packed, dtype),
      read: ({ features = [] }) => {
        const width = features.length / examples.length
        return examples.map((_, i) => Float64Array.from({ length: width }, (__, j) => Number(features[i * width + j])))
      },
    }),
  }
}

/** What a scale of the scores changes: labels on their way in, answers on their way out, and the head. */
type Scaling = {
  readonly label: (label: number) => number
  readonly answer: (output: number) => number
  readonly tensors: (entries: readonly Trainable[]) => readonly Trainable[]
  readonly head: Pick<Objective, 'headInFiles' | 'warnings'>
}

const unscaled: Scaling = { label: (label) => label, answer: (output) => output, tensors: (entries) => entries, head: {} }

const scaledHead = (model: Model, given: ScoreScale): Scaling => {
  const [head, outputs] = [model.sequenceHead(1), outputTensors(model.sequenceHead)]
  const scale = representable(given, head, outputs)
  const inFiles = headInFiles(scale, head, outputs)
  return {
    label: (label) => toScaled(scale, label),
    answer: (output) => toUnit(scale, output),
    tensors: (entries) => entries.map((entry) => (outputs.includes(entry.name) ? { ...entry, initial: scaledInitial(inFiles) } : entry)),
    head: { headInFiles: inFiles, warnings: scale.mean === given.mean ? [] : meanWarning(model, given) },
  }
}

/**
 * SmolLM2-135M, whose head has no bias, took 100 steps of 16 on 1,000 pairs of STS-B. With scores from 0 to 5, the Pearson correlation was 0.19.
 * With the same scores less their mean, it was 0.58.
 */
const meanWarning = ({ type }: Model, { mean, deviation }: ScoreScale): readonly string[] =>
  Math.abs(mean) <= deviation / 2
    ? []
    : [
        `the head of ${type} has no bias, so it learns scores around 0 best: subtract their mean (${Number(mean.toPrecision(4))}) from each, and add it to predictions`,
      ]

/** [examples, labels], 0 for classes without a share */
const toDense = (shares: readonly Shares[], labels: number): Float64Array => {
  const dense = new Float64Array(shares.length * labels)
  shares.forEach((row, i) => {
    for (const [k, share] of row) dense[i * labels + k] = share
  })
  return dense
}

/** 1 for each class of an example, else 0: [examples, labels] */
const indicators = (examples: readonly LabeledExample[], labels: number): Int32Array => {
  const flags = new Int32Array(examples.length * labels)
  examples.forEach((example, row) => {
    for (const label of example.labels ?? []) flags[row * labels + label] = 1
  })
  return flags
}
