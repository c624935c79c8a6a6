/** Sequences as wholes: the class of each example, or a number for it, read from its first token. */
import type { Expression } from '../graph/expression.js'
import { input, mul, selectRows } from '../graph/operators.js'
import { modelInitial } from '../methods/initialisation.js'
import type { Model } from '../models/architecture.js'
import { rowSelection } from '../models/batchInputs.js'
import type { Host } from '../models/host.js'
import { selectionFeeds } from '../models/packing.js'
import { floatFeed, int32Feed, scalarFeed } from '../runtime/feeds.js'
import { crossEntropySum, squaredErrorSum } from './loss.js'
import type { Objective, TrainingExample } from './objective.js'

/** What the task decides, whatever the checkpoint's own config.json says. A regression has one output. */
export type Outputs = { readonly labels: number; readonly problem: 'classification' | 'regression' }

/** label: a class, or in a regression a number */
export type LabelledExample = TrainingExample & { readonly label: number }

/** Answers: [labels] an example. */
export const sequence = (model: Model, { labels, problem }: Outputs): Objective<LabelledExample, ReadonlyArray<number>> => {
  const head = model.sequenceHead(labels)
  const regression = problem === 'regression'
  const logits = (hidden: Expression, host: Host): Expression => {
    const first = rowSelection('batch')
    return head.outputs(selectRows(hidden, first.tokenOfRow, first.rowOfToken, { partial: true }), host)
  }
  return {
    name: 'sequence',
    tensors: ({ decayed, undecayed }) =>
      [...head.tensors].map(([name, shape]) => ({ name, shape, group: shape.length > 1 ? decayed : undecayed, initial: modelInitial })),
    outputs: (hidden, host) => ({ logits: logits(hidden, host) }),
    loss: (hidden, host, dtype) => {
      const wanted = input('labels', ['batch'], regression ? dtype : 'int32')
      return mul((regression ? squaredErrorSum : crossEntropySum)(logits(hidden, host), wanted), input('lossWeight', [], dtype))
    },
    prepare: (examples) => ({
      shown: examples,
      weight: examples.length,
      feeds: ({ firstTokens, tokens }, whole, dtype) => {
        const given = examples.map(({ label }) => label)
        return {
          ...selectionFeeds(firstTokens, tokens),
          labels: regression ? floatFeed(given, [given.length], dtype) : int32Feed(Int32Array.from(given)),
          lossWeight: scalarFeed(1 / whole, dtype),
        }
      },
      read: ({ logits: read }) => examples.map((_, i) => Array.from({ length: labels }, (__, j) => Number(read?.[i * labels + j]))),
    }),
  }
}
