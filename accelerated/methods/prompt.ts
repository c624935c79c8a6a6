/** Prompt tuning (Lester et al., 2021): trained rows stand before each text in place of word embeddings. The head reads the first of them. */
import { z } from 'zod'
import type { Expression } from '../graph/expression.js'
import { add, cast, constant, equal, less, matMul, mul, reshape, sub } from '../graph/operators.js'
import { checkHookSupported, type Method } from './method.js'
import { promptEmbeddings, promptMethod, promptShape, type PromptSettings } from './promptEmbeddings.js'

const phase = z.strictObject({ shape: promptShape })
export type PromptPhase = z.infer<typeof phase>

export const prompt: Method<PromptSettings, PromptPhase> = {
  name: 'prompt',
  summary: 'trained word embeddings before each text',
  ...promptMethod,
  phase,
  start: (outline, { numVirtualTokens }) => {
    checkHookSupported(outline, 'embedded', 'prompt')
    return { shape: [numVirtualTokens, outline.embeddingSize] }
  },
  wrap: (_, __, parameter) => (host) => ({
    ...host,
    embedded: (words, batch) => host.embedded(withPrompt(parameter(promptEmbeddings), words, batch.virtualToken), batch),
  }),
  virtualTokens: ({ numVirtualTokens }) => ({ count: numVirtualTokens, at: 'embeddings' }),
  format: 'peftPrompt',
}

/**
 * Row i of the prompt where virtual token i stands, the word where a real one does. rows: [virtual tokens, width], words: [tokens, width],
 * virtualToken: [tokens]. By a product, because its gradient is one too: a gather's adds rows up, which some providers do in any order.
 */
const withPrompt = (rows: Expression, words: Expression, virtualToken: Expression): Expression => {
  const count = rows.shape[0] as number
  const numbers = constant(
    Array.from({ length: count }, (_, i) => i),
    [count],
    virtualToken.dtype,
  )
  const places = reshape(virtualToken, [...virtualToken.shape, 1])
  const chosen = cast(equal(places, numbers), words.dtype) // [tokens, virtual tokens]: 1 at the own number, if any
  const real = sub(1, cast(less(places, count), words.dtype)) // [tokens, 1]
  return add(mul(words, real), matMul(chosen, rows))
}
