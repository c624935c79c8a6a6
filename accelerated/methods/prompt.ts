/** Prompt tuning (Lester et al., 2021): trained rows precede each text in place of word embeddings. The head reads the first of them. */
import { z } from 'zod'
import type { Expression } from '../graph/expression.js'
import { add, cast, constant, equal, less, matMul, mul, reshape, sub } from '../graph/operators.js'
import type { Method } from './method.js'
import { promptEmbeddings, promptMethod, promptShape, type PromptSettings } from './promptEmbeddings.js'

const schema = z.strictObject({ shape: promptShape })
export type PromptPhase = z.infer<typeof schema>

export const prompt: Method<PromptSettings, PromptPhase> = {
  name: 'prompt',
  summary: 'trained word embeddings before each text',
  settings: promptMethod.settings,
  train: {
    ...promptMethod.train,
    hook: 'embedded',
    wrap: (_, __, parameter) => (host) => ({
      ...host,
      embedded: (words, batch) => host.embedded(withPrompt(parameter(promptEmbeddings), words, batch.virtualToken), batch),
    }),
    virtualTokens: ({ numVirtualTokens }) => ({ count: numVirtualTokens, at: 'embeddings' }),
  },
  phases: {
    ...promptMethod.phases,
    schema,
    start: ({ embeddingSize }, { numVirtualTokens }) => ({ shape: [numVirtualTokens, embeddingSize] }),
  },
  reporting: promptMethod.reporting,
  export: { format: 'peftPrompt' },
}

/**
 * Row i of the prompt for virtual token i, the word for a real one. rows: [virtual tokens, width], words: [tokens, width],
 * virtualToken: [tokens]. A product, because its gradient is a product too: the gradient of a gather adds rows up, in any order on some providers.
 */
const withPrompt = (rows: Expression, words: Expression, virtualToken: Expression): Expression => {
  const count = rows.shape[0] as number
  const numbers = constant(
    Array.from({ length: count }, (_, i) => i),
    [count],
    virtualToken.dtype,
  )
  const numberOfToken = reshape(virtualToken, [...virtualToken.shape, 1])
  const chosen = cast(equal(numberOfToken, numbers), words.dtype) // [tokens, virtual tokens]: 1 in the column of the token's number
  const isReal = sub(1, cast(less(numberOfToken, count), words.dtype)) // [tokens, 1]
  return add(mul(words, isReal), matMul(chosen, rows))
}
