/** The input of an encoder: the sum of word, position and token-type embeddings. */
import type { EncoderConfig } from './encoderConfig.js'
import { mismatch } from '../tensor/shape.js'
import { add, named, type Tensor, type Tensors } from '../tensor/tensor.js'
import type { ModelTensors } from '../layers/adaptedLinear.js'
import { embedding, embeddingVjp } from '../layers/embedding.js'

/** Token ids of each example, without padding, and their types (all 0 when absent). */
export interface Tokens {
  readonly inputIds: readonly (readonly number[])[]
  readonly tokenTypeIds?: readonly (readonly number[])[]
}

type Lookups = Readonly<Record<string, readonly number[]>>

/** BERT's positions count all tokens from 0. RoBERTa's count non-padding tokens from paddingIndex + 1; padding tokens get paddingIndex. */
const positions = ({ family, paddingIndex }: EncoderConfig, ids: readonly number[]): readonly number[] => {
  if (family === 'bert') return ids.map((_, position) => position)
  const counted = (upTo: number): number => ids.slice(0, upTo + 1).filter((id) => id !== paddingIndex).length
  return ids.map((id, place) => paddingIndex + (id === paddingIndex ? 0 : counted(place)))
}

/** For each table, the row that each token looks up. */
const lookups = (config: EncoderConfig, { inputIds, tokenTypeIds }: Tokens): Lookups => {
  // RoBERTa's positions begin after the padding index, as its position table was trained that way.
  const first = config.family === 'roberta' ? config.paddingIndex + 1 : 0
  const longest = config.maxPositions - first
  const types = tokenTypeIds ?? inputIds.map((ids) => ids.map(() => 0))
  inputIds.forEach((ids, example) => {
    if (ids.length === 0) mismatch('embeddings', 'at least one token in each example', `none in example ${example}`)
    if (ids.length > longest) mismatch('embeddings', `at most ${longest} tokens`, `${ids.length} in example ${example}`)
    const typed = types[example]?.length ?? 0
    if (typed !== ids.length) mismatch('embeddings', `${ids.length} token types in example ${example}`, `${typed}`)
  })
  return {
    'embeddings.word_embeddings.weight': inputIds.flat(),
    'embeddings.position_embeddings.weight': inputIds.flatMap((ids) => positions(config, ids)),
    'embeddings.token_type_embeddings.weight': types.flat(),
  }
}

interface TracedEmbeddings {
  /** [tokens, hidden] */
  readonly value: Tensor
  /** yBar: [tokens, hidden] → the gradients of the wanted tables */
  readonly pullback: (yBar: Tensor) => Tensors
}

/** word[id] + position[i] + type[t] for each token, the examples one after another. */
export const embeddings = (model: ModelTensors, config: EncoderConfig, tokens: Tokens): TracedEmbeddings => {
  const rows = Object.entries(lookups(config, tokens))
  const table = (name: string): Tensor => named(model.weights, name)
  return {
    value: rows.map(([name, indices]) => embedding(table(name), indices)).reduce((total, part) => add(total, part)),
    pullback: (yBar) =>
      Object.fromEntries(
        rows.filter(([name]) => model.wanted(name)).map(([name, indices]) => [name, embeddingVjp(table(name).shape[0]!, indices, yBar)]),
      ),
  }
}
