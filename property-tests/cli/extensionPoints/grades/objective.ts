/** A smooth absolute error of a grade: Σ log cosh(output − grade). */
import { floatFeed, scalarFeed } from '../../../../accelerated/engines/feeds.js'
import type { Expression } from '../../../../accelerated/graph/expression.js'
import { add, exp, input, log, mul, reduceSum, reshape, sub } from '../../../../accelerated/graph/operators.js'
import { selectedRows } from '../../../../accelerated/graph/selectedRows.js'
import type { Model } from '../../../../accelerated/models/architecture.js'
import { rowSelection } from '../../../../accelerated/models/batchInputs.js'
import { selectionFeeds } from '../../../../accelerated/models/packing.js'
import { headTensors, type ModelOutput, type Objective, type TrainingExample } from '../../../../accelerated/objectives/objective.js'

export type GradedExample = TrainingExample & { readonly grade: number }

export const logCosh = (model: Model): Objective<GradedExample, readonly number[]> => {
  const head = model.sequenceHead(1)
  const values = ({ hidden, host }: ModelOutput): Expression =>
    reshape(head.outputs(selectedRows(hidden, rowSelection('batch')), host), ['batch'])
  return {
    name: 'logCosh',
    tensors: (groups) => headTensors(head, groups),
    outputs: ({ forward }, batch) => ({ values: values(forward(batch)) }),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      const error = sub(values(output), input('grades', ['batch'], output.dtype))
      // log cosh x = x + log(1 + exp(−2x)) − log 2
      const losses = sub(add(error, log(add(exp(mul(error, -2)), 1))), Math.LN2)
      return mul(reduceSum(losses), input('lossWeight', [], output.dtype))
    },
    prepare: (examples) => ({
      texts: examples,
      weight: examples.length,
      feeds: ({ firstTokens, lastTokens, tokens }, total, dtype) => ({
        ...selectionFeeds(model.pooling === 'first' ? firstTokens : lastTokens, tokens),
        grades: floatFeed(
          examples.map(({ grade }) => grade),
          [examples.length],
          dtype,
        ),
        lossWeight: scalarFeed(1 / total, dtype),
      }),
      read: ({ values: read }) => examples.map((_, i) => [Number(read?.[i])]),
    }),
  }
}
