/** The loss of a step of embeddings part by part: each part is a graph of its own, which is fed the embeddings of the others. */
import { gradient } from '../../accelerated/graph/gradient.js'
import { input } from '../../accelerated/graph/operators.js'
import { batchInputs } from '../../accelerated/models/batchInputs.js'
import { packBatch } from '../../accelerated/models/packing.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import type { PairExample } from '../../finetuning/tasks/embeddings/objective.js'
import { evaluate, float64, resultOf } from './runGraph.js'

/** Hidden states: [tokens, width] */
type Matrix = { readonly data: ArrayLike<number>; readonly shape: readonly number[] }

/** The sums of the losses and of the gradients of all parts, each a graph of its own that is fed the embeddings of the others. */
export const lossOfParts = async (
  objective: Objective<PairExample, unknown>,
  parts: readonly (readonly PairExample[])[],
  { data: rows, shape: [, width = 0] }: Matrix,
) => {
  const states = input('hidden', ['tokens', width], 'float64')
  const forward = () => ({ hidden: states, host: undefined as never, dtype: 'float64' as const })
  const batch = batchInputs('float64')
  const { stepLoss, stepFeeds } = objective
  if (stepLoss === undefined || stepFeeds === undefined) throw new Error('expected a loss of a step')
  const value = stepLoss.loss({ forward, baseForward: forward }, batch)
  const embeddings = stepLoss.rows({ forward, baseForward: forward }, batch)
  const [slope] = gradient(value, [states])
  const whole = parts.flat().length
  let at = 0
  const fed = parts.map((examples) => {
    const { texts, feeds } = objective.prepare(examples, { seed: 0, step: 0 })
    const tokens = texts.reduce((sum, { inputIds }) => sum + inputIds.length, 0)
    const hidden = float64(Array.from(rows).slice(at * width, (at + tokens) * width), [tokens, width])
    at += tokens
    const share = float64([examples.length / whole], [])
    return { ...feeds(packBatch(texts, 0, 'float64'), whole, 'float64'), hidden, batchShare: share }
  })
  const computed = await Promise.all(fed.map(async (feeds) => resultOf(await evaluate({ embeddings }, feeds), 'embeddings')))
  const results = await Promise.all(
    fed.map((feeds, part) => evaluate({ value, slope: slope! }, { ...feeds, ...stepFeeds(parts, part, computed, 'float64') })),
  )
  return {
    loss: results.reduce((sum, result) => sum + (resultOf(result, 'value')[0] ?? NaN), 0),
    gradient: results.flatMap((result) => [...resultOf(result, 'slope')]),
  }
}
