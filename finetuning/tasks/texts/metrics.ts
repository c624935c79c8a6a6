/** Metrics of language modeling: mean loss per token, and perplexity. */
import type { TextAnswer } from '../../../accelerated/objectives/causalLM.js'

/** loss: the mean of −log p over all tokens, in nats · perplexity: e^loss. @throws Error if there is no token */
export const scoreTexts = (answers: ReadonlyArray<TextAnswer>): Readonly<Record<'loss' | 'perplexity', number>> => {
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0)
  if (tokens === 0) throw new Error('scoreTexts: expected at least one token, got none')
  const loss = answers.reduce((sum, answer) => sum + answer.loss * answer.tokens, 0) / tokens
  return { loss, perplexity: Math.exp(loss) }
}
