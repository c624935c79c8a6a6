/** Causal language modeling: the hidden state of each token predicts the next token, where that one has a label. */
import type { Expression, FloatType } from '../graph/expression.js'
import { add, gather, input, logSumExp, mul, reduceSum, reshape, slice, sub } from '../graph/operators.js'
import { selectedRows } from '../graph/selectedRows.js'
import type { Model } from '../models/architecture.js'
import { rowSelection } from '../models/batchInputs.js'
import { selectionFeeds } from '../models/packing.js'
import type { Feeds } from '../engines/feeds.js'
import { floatFeed, int32Feed, scalarFeed } from '../engines/feeds.js'
import { headTensors } from './headTensors.js'
import type { ModelOutput, Objective, TrainingExample } from './objective.js'
import { causalOutputs, headOf } from '../models/modelOutputs.js'

/** The target of a token without a label: those of a prompt, and the last of each text. */
export const unlabeled = -100

export type TextExample = TrainingExample & {
  /** for each token the next one, or `unlabeled` */
  readonly targets: ArrayLike<number>
  /** the end of each text, if several share the example (packing); attention does not cross texts */
  readonly ends?: ReadonlyArray<number>
}

/** Mean loss of an example's labeled tokens, and their number. */
export type TextAnswer = { readonly loss: number; readonly tokens: number }

/** Logits are computed in this many parts, one after another: over a large vocabulary they are the largest tensors of a step. */
const slices = 4

/**
 * The head reads the labeled tokens in slices of [labeled] rows; rows of weight 0 fill the last slice. The loss of a row is
 * log Σ exp(W h) − W_label h, so only the logits have the vocabulary's width. `trainsAll`: the method also trains the head.
 */
export const causalLM = (
  model: Model,
  method: { readonly train: { readonly trainsAll?: boolean } } = { train: {} },
): Objective<TextExample, TextAnswer> => {
  const head = model.causalHead?.()
  if (head === undefined) throw new Error(`causalLM: expected a decoder, got ${model.type}`)
  /** the loss of each row, slice by slice: [labeled] each */
  const losses = ({ hidden, host }: ModelOutput): ReadonlyArray<Expression> =>
    slicesOf(selectedRows(hidden, rowSelection(`${slices}*labeled`))).map((rows, i) => {
      const labels = input(`labels${i}`, ['labeled'], 'int32')
      return sub(logSumExp(head.outputs(rows, host)), reduceSum(mul(rows, gather(host.tensor(head.words), labels)), [-1]))
    })
  const weighted = (bySlice: ReadonlyArray<Expression>, dtype: FloatType): ReadonlyArray<Expression> =>
    bySlice.map((loss, i) => mul(loss, input(`rowWeights${i}`, ['labeled'], dtype)))
  return {
    name: 'causal',
    tensors: (groups) => headTensors(headOf(model, causalOutputs, method), groups),
    outputs: ({ forward }, batch) => Object.fromEntries(losses(forward(batch)).map((loss, i) => [`losses${i}`, loss])),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      const { dtype } = output
      const sums = weighted(losses(output), dtype).map((loss) => reduceSum(loss))
      return mul(sums.reduce(add), input('lossWeight', [], dtype))
    },
    dimensions: (tokens) => ({ labeled: Math.ceil(tokens / slices) }),
    prepare: (examples) => {
      const counts = examples.map(({ targets }) => Array.from(targets).filter((target) => target !== unlabeled).length)
      const total = counts.reduce((a, b) => a + b, 0)
      const texts = examples.flatMap(textsOf)
      return {
        texts,
        weight: total,
        feeds: ({ lastTokens, tokens }, whole, dtype) => ({
          ...sliceFeeds(labeledRows(texts, lastTokens), tokens, dtype),
          lossWeight: scalarFeed(1 / whole, dtype),
        }),
        read: (results) => {
          const all = Array.from({ length: slices }, (_, i) => Array.from(results[`losses${i}`] ?? [], Number)).flat()
          let at = 0
          return counts.map((tokens) => {
            at += tokens
            return { loss: all.slice(at - tokens, at).reduce((a, b) => a + b, 0) / tokens, tokens }
          })
        },
      }
    },
  }
}

/** The texts of an example: several if it is packed. */
const textsOf = ({ inputIds, targets, ends, row }: TextExample): ReadonlyArray<TextExample> => {
  if (ends === undefined) return [{ inputIds, targets, row }]
  const part = (all: ArrayLike<number>, i: number): ReadonlyArray<number> => Array.from(all).slice(ends[i - 1] ?? 0, ends[i])
  return ends.map((_, i) => ({ inputIds: part(inputIds, i), targets: part(targets, i), row }))
}

/** rows: [slices · labeled, hidden] → slices of [labeled, hidden] */
const slicesOf = (rows: Expression): ReadonlyArray<Expression> => {
  const [, hidden = 1] = rows.shape
  const parts = reshape(rows, [slices, 'labeled', hidden])
  return Array.from({ length: slices }, (_, i) => reshape(slice(parts, 0, i, 1), ['labeled', hidden]))
}

type LabeledRow = { readonly token: number; readonly label: number }

/** Counted from a text's last token, since virtual tokens may precede the text. */
const labeledRows = (texts: ReadonlyArray<TextExample>, lastTokens: ReadonlyArray<number>): ReadonlyArray<LabeledRow> =>
  texts.flatMap(({ targets }, text) =>
    Array.from(targets).flatMap((label, i) =>
      label === unlabeled ? [] : [{ token: (lastTokens[text] ?? 0) + 1 - targets.length + i, label }],
    ),
  )

const sliceFeeds = (rows: ReadonlyArray<LabeledRow>, tokens: number, dtype: FloatType): Feeds => {
  const size = Math.max(1, Math.ceil(rows.length / slices))
  const feeds = Array.from({ length: slices }, (_, i): Feeds => {
    const part = rows.slice(i * size, (i + 1) * size)
    const labels = Int32Array.from({ length: size }, (__, j) => part[j]?.label ?? 0)
    const weights = Array.from({ length: size }, (__, j) => (j < part.length ? 1 : 0))
    return { [`labels${i}`]: int32Feed(labels), [`rowWeights${i}`]: floatFeed(weights, [size], dtype) }
  })
  const places = rows.map(({ token }) => token)
  return Object.assign({}, selectionFeeds(places, tokens, '', slices * size), ...feeds) as Feeds
}
