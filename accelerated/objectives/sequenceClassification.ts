/** Sequences as wholes: the class of each example, or a number for it, read from its first token. */
import type { Expression, FloatType } from '../graph/expression.js'
import { input, mul, reduceSum } from '../graph/operators.js'
import { selectedRows } from '../graph/selectedRows.js'
import { modelInitial } from '../parameters/initialization.js'
import type { Model } from '../models/architecture.js'
import { rowSelection } from '../models/batchInputs.js'
import { selectionFeeds } from '../models/packing.js'
import { floatFeed, int32Feed, scalarFeed, type Feed } from '../engines/feeds.js'
import { binaryCrossEntropySum, crossEntropies, crossEntropySum, squaredErrorSum } from './losses.js'
import type { ModelOutput, Objective, TrainingExample } from './objective.js'
import type { SequenceOutputs } from '../models/modelOutputs.js'

/** label: a class, or in a regression a number · labels: the classes that hold, where any number can */
export type LabeledExample = TrainingExample & { readonly label: number; readonly labels?: ReadonlyArray<number> | undefined }

/**
 * Answers: [labels] an example. `classWeights`, one a class: the loss is Σ wᵢ lᵢ / Σ wᵢ over the examples of a step, as PyTorch's
 * CrossEntropyLoss has it, so that an example counts as wᵢ of them.
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
    const wanted = input('labels', ['batch'], 'int32')
    return classWeights === null
      ? crossEntropySum(outputs, wanted)
      : reduceSum(mul(crossEntropies(outputs, wanted), input('exampleWeights', ['batch'], dtype)))
  }
  const labelsFeed = (examples: ReadonlyArray<LabeledExample>, dtype: FloatType): Feed => {
    if (multiLabel) return int32Feed(indicators(examples, labels), [examples.length, labels])
    const given = examples.map(({ label }) => label)
    return regression ? floatFeed(given, [given.length], dtype) : int32Feed(Int32Array.from(given))
  }
  return {
    name: 'sequence',
    tensors: ({ decayed, undecayed }) =>
      [...head.tensors].map(([name, shape]) => ({ name, shape, group: shape.length > 1 ? decayed : undecayed, initial: modelInitial })),
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

/** 1 where a class holds: [examples, labels] */
const indicators = (examples: ReadonlyArray<LabeledExample>, labels: number): Int32Array => {
  const flags = new Int32Array(examples.length * labels)
  examples.forEach((example, row) => {
    for (const label of example.labels ?? []) flags[row * labels + label] = 1
  })
  return flags
}
