/** Masked language modeling (Devlin et al., 2019): some tokens of each example are masked or replaced, and the model predicts them. */
import type { Expression } from '../graph/expression.js'
import { input, mul, reduceSum } from '../graph/operators.js'
import { selectedRows } from '../graph/selectedRows.js'
import type { Model } from '../models/architecture.js'
import { rowSelection } from '../models/batchInputs.js'
import { selectionFeeds } from '../models/packing.js'
import { int32Feed, scalarFeed } from '../engines/feeds.js'
import { uniforms } from '../parameters/random.js'
import { crossEntropies } from './losses.js'
import { headTensors, type Draw, type ModelOutput, type Objective, type TrainingExample } from './objective.js'

export type Masking = {
  /** fraction of the tokens to predict */
  readonly share: number
  /** id of the mask token, and the ids of random replacements: from ≤ id < to */
  readonly mask: number
  readonly ordinary: { readonly from: number; readonly to: number }
}

/** Mean loss of an example's masked tokens, and their number. */
export type MaskedAnswer = { readonly loss: number; readonly tokens: number }

type MaskedExample = {
  readonly inputIds: ArrayLike<number>
  readonly places: readonly number[]
  readonly labels: readonly number[]
}

/** Of the chosen tokens, 80 % become <mask>, 10 % a random token, 10 % stay. The first and the last token are never chosen; at least one other is. */
const maskExample = ({ share, mask, ordinary }: Masking, { inputIds, row }: TrainingExample, { seed, step }: Draw): MaskedExample => {
  const u = uniforms(seed, 'masking', step * 0x1000000 + row, 3 * inputIds.length)
  const inner = Array.from({ length: Math.max(0, inputIds.length - 2) }, (_, i) => i + 1)
  const drawn = inner.filter((place) => (u[3 * place] ?? 1) < share)
  const places = drawn.length > 0 ? drawn : [...inner].sort((a, b) => (u[3 * a] ?? 1) - (u[3 * b] ?? 1)).slice(0, 1)
  const chosen = new Set(places)
  const maskToken = (id: number, place: number): number => {
    const kind = u[3 * place + 1] ?? 1
    if (!chosen.has(place) || kind >= 0.9) return id
    return kind < 0.8 ? mask : ordinary.from + Math.floor((u[3 * place + 2] ?? 0) * (ordinary.to - ordinary.from))
  }
  return { inputIds: Array.from(inputIds, maskToken), places, labels: places.map((place) => inputIds[place] ?? 0) }
}

export const maskedLM = (model: Model, masking: Masking): Objective<TrainingExample, MaskedAnswer> => {
  const head = model.maskedHead?.()
  if (head === undefined) throw new Error(`maskedLM: expected a model that predicts masked tokens, got ${model.type}`)
  /** the loss of each masked token: [masked] */
  const losses = ({ hidden, host }: ModelOutput): Expression => {
    const logits = head.outputs(selectedRows(hidden, rowSelection('masked')), host)
    return crossEntropies(logits, input('labels', ['masked'], 'int32'))
  }
  return {
    name: 'masked',
    tensors: (groups) => headTensors(head, groups),
    outputs: ({ forward }, batch) => ({ losses: losses(forward(batch)) }),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      return mul(reduceSum(losses(output)), input('lossWeight', [], output.dtype))
    },
    dimensions: (tokens) => ({ masked: tokens }),
    prepare: (examples, draw) => {
      const masked = examples.map((example) => maskExample(masking, example, draw))
      return {
        texts: masked,
        weight: masked.reduce((sum, { places }) => sum + places.length, 0),
        feeds: ({ firstTokens, tokens }, whole, dtype) => ({
          ...selectionFeeds(
            masked.flatMap(({ places }, i) => places.map((place) => (firstTokens[i] ?? 0) + place)),
            tokens,
          ),
          labels: int32Feed(Int32Array.from(masked.flatMap(({ labels }) => labels))),
          lossWeight: scalarFeed(1 / whole, dtype),
        }),
        read: ({ losses: read }) => {
          let at = 0
          return masked.map(({ places }) => {
            at += places.length
            const all = Array.from(read?.slice(at - places.length, at) ?? [], Number)
            return { loss: all.reduce((a, b) => a + b, 0) / all.length, tokens: all.length }
          })
        },
      }
    },
  }
}
