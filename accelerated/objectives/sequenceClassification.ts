/** Sequence classification and regression: a class, several classes or a number for each example, from its first (decoder: last) token. */
import type { Expression, FloatType } from '../graph/expression.js'
import { input, mul, reduceSum } from '../graph/operators.js'
import { selectedRows } from '../graph/selectedRows.js'
import type { Model } from '../models/architecture.js'
import { rowSelection } from '../models/batchInputs.js'
import { selectionFeeds } from '../models/packing.js'
import { floatFeed, int32Feed, scalarFeed, type Feed } from '../engines/feeds.js'
import { binaryCrossEntropySum, crossEntropies, crossEntropySum, squaredErrorSum } from './losses.js'
import { headTensors } from './headTensors.js'
import type { ModelOutput, Objective, TrainingExample } from './objective.js'
import type { SequenceOutputs } from '../models/modelOutputs.js'

/** label: a class, or the number of a regression · labels: the classes of a multi-label example */
export type LabeledExample = TrainingExample & { readonly label: number; readonly labels?: ReadonlyArray<number> | undefined }

/**
 * Answers: [labels] for each example. With `classWeights`, one for each class, the loss is Σ wᵢ lᵢ / Σ wᵢ over the examples of a step, as in PyTorch's
 * CrossEntropyLoss: an example counts wᵢ times.
 */
export const sequenceClassification = (
  model: Model,
  { labels, problemType }: Pick<SequenceOutputs, 'labels' | 'problemType'>,
  classWeights: ReadonlyArray<number> | null = null,
): Objective<LabeledExample, ReadonlyArray<number>> => {
  const weightOf = ({ label }: LabeledExample): number => classWeights?.[label] ?? 1
  const head = model.sequenceHead(labels)
  const [regression, multiLabel] = [problemType === 'regression', problemType === 'multi_label_classification']
  const logits = ({ hidden, host }: ModelOutput): Expression => head.outputs(selectedRows(hidden, rowSelection('batch')), host)
  const lossSum = (outputs: Expression, dtype: FloatType): Expression => {
    if (multiLabel) return binaryCrossEntropySum(outputs, input('labels', ['batch', labels], 'int32'))
    if (regression) return squaredErrorSum(outputs, input('labels', ['batch'], dtype))
    const target = input('labels', ['batch'], 'int32')
    return classWeights === null
      ? crossEntropySum(outputs, target)
      : reduceSum(mul(crossEntropies(outputs, target), input('exampleWeights', ['batch'], dtype)))
  }
  const labelsFeed = (examples: ReadonlyArray<LabeledExample>, dtype: FloatType): Feed => {
    if (multiLabel) return int32Feed(indicators(examples, labels), [examples.length, labels])
    const all = examples.map(({ label }) => label)
    return regression ? floatFeed(all, [all.length], dtype) : int32Feed(Int32Array.from(all))
  }
  return {
    name: 'sequence',
    tensors: (groups) => headTensors(head, groups),
    outputs: ({ forward }, batch) => ({ logits: logits(forward(batch)) }),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      const { dtype } = output
      return mul(lossSum(logits(output), dtype), input('lossWeight', [], dtype))
    },
    prepare: (examples) => ({
      texts: examples,
      weight: examples.reduce((sum, example) => sum + weightOf(example), 0),
      feeds: ({ firstTokens, lastTokens, tokens }, whole, dtype) => ({
        ...selectionFeeds(model.pooling === 'first' ? firstTokens : lastTokens, tokens),
        labels: labelsFeed(examples, dtype),
        ...(classWeights === null ? {} : { exampleWeights: floatFeed(examples.map(weightOf), [examples.length], dtype) }),
        lossWeight: scalarFeed(1 / (multiLabel ? whole * labels : whole), dtype), // the mean over labels and examples, as PyTorch's
      }),
      read: ({ logits: read }) => examples.map((_, i) => Array.from({ length: labels }, (__, j) => Number(read?.[i * labels + j]))),
    }),
  }
}

/** 1 for each class of an example, else 0: [examples, labels] */
const indicators = (examples: ReadonlyArray<LabeledExample>, labels: number): Int32Array => {
  const flags = new Int32Array(examples.length * labels)
  examples.forEach((example, row) => {
    for (const label of example.labels ?? []) flags[row * labels + label] = 1
  })
  return flags
}
