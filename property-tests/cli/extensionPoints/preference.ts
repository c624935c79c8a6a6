/** An objective that is in no release: direct preference optimization (Rafailov et al., 2023). What a preference loss's one file looks like. */
import { gather, input, logSumExp, matMul, mul, reduceSum, reshape, sub } from '../../../accelerated/graph/operators.js'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { selectedRows } from '../../../accelerated/graph/selectedRows.js'
import type { Model } from '../../../accelerated/models/architecture.js'
import { rowSelection } from '../../../accelerated/models/batchInputs.js'
import { selectionFeeds } from '../../../accelerated/models/packing.js'
import { floatFeed, int32Feed, scalarFeed } from '../../../accelerated/engines/feeds.js'
import { binaryCrossEntropySum } from '../../../accelerated/objectives/losses.js'
import { unlabeled, type TextExample } from '../../../accelerated/objectives/causalLM.js'
import type { ModelOutput, Objective, TrainingExample } from '../../../accelerated/objectives/objective.js'

/** Two answers to one prompt. Each text holds the prompt, whose tokens have no label. */
export type PreferenceExample = TrainingExample & { readonly chosen: TextExample; readonly rejected: TextExample }

/** The example of two texts: they share a row of the data, not a row of attention. */
export const preferenceExample = (row: number, chosen: TextExample, rejected: TextExample): PreferenceExample => ({
  row,
  chosen,
  rejected,
  inputIds: [...Array.from(chosen.inputIds), ...Array.from(rejected.inputIds)],
  ends: [chosen.inputIds.length, chosen.inputIds.length + rejected.inputIds.length],
})

/**
 * −mean log σ(β m), m = (log π(y_w) − log π_ref(y_w)) − (log π(y_l) − log π_ref(y_l)): π is the adapted model, π_ref the base model.
 * Answers: m of each example.
 */
export const preference = (model: Model, beta: number): Objective<PreferenceExample, number> => {
  const head = model.causalHead?.()
  if (head === undefined) throw new Error(`preference: expected a decoder, got ${model.type}`)
  /** log π of each labeled token: [labeled] */
  const logProbabilities = ({ hidden, host }: ModelOutput): Expression => {
    const rows = selectedRows(hidden, rowSelection('labeled'))
    const ofLabel = reduceSum(mul(rows, gather(host.tensor(head.words), input('labels', ['labeled'], 'int32'))), [-1])
    return sub(ofLabel, logSumExp(head.outputs(rows, host)))
  }
  /** [pairs]. `signs`: 1 for a token of the pair's chosen text, −1 for one of its rejected text, else 0 */
  const margins: Objective['outputs'] = ({ forward, baseForward }, batch) => {
    const [policy, base] = [forward(batch), baseForward(batch)]
    const ratios = sub(logProbabilities(policy), logProbabilities(base))
    return { margins: reshape(matMul(input('signs', ['pairs', 'labeled'], policy.dtype), reshape(ratios, ['labeled', 1])), ['pairs']) }
  }
  return {
    name: 'preference',
    tensors: () => [],
    outputs: margins,
    loss: (forwards, batch) => {
      const { margins: m } = margins(forwards, batch) as { readonly margins: Expression }
      const logits = reshape(mul(m, beta), ['pairs', 1])
      return mul(binaryCrossEntropySum(logits, input('preferred', ['pairs', 1], 'int32')), input('lossWeight', [], m.dtype))
    },
    dimensions: (tokens) => ({ labeled: tokens, pairs: tokens }),
    prepare: (examples) => {
      const texts = examples.flatMap(({ chosen, rejected }) => [chosen, rejected])
      return {
        texts,
        weight: examples.length,
        feeds: ({ firstTokens, tokens }, whole, dtype) => {
          const rows = texts.flatMap(({ targets }, text) =>
            Array.from(targets).flatMap((label, i) => (label === unlabeled ? [] : [{ text, label, token: (firstTokens[text] ?? 0) + i }])),
          )
          const signOf = (pair: number, text: number): number => (text === 2 * pair ? 1 : text === 2 * pair + 1 ? -1 : 0)
          const signs = examples.flatMap((_, pair) => rows.map(({ text }) => signOf(pair, text)))
          return {
            ...selectionFeeds(
              rows.map(({ token }) => token),
              tokens,
            ),
            labels: int32Feed(Int32Array.from(rows, ({ label }) => label)),
            signs: floatFeed(signs, [examples.length, rows.length], dtype),
            preferred: int32Feed(new Int32Array(examples.length).fill(1), [examples.length, 1]),
            lossWeight: scalarFeed(1 / whole, dtype),
          }
        },
        read: (results) => examples.map((_, i) => Number(results['margins']?.[i])),
      }
    },
  }
}
