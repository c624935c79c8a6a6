/** Metrics of text: mean loss by token, and perplexity. */
import type { TextAnswer } from '../../accelerated/objectives/causalLM.js'

/** loss: Σ of all tokens' −log p over their number, in nats · perplexity: e to the power of it. Of at least one token. */
export const scoreTexts = (answers: ReadonlyArray<TextAnswer>): Readonly<Record<'loss' | 'perplexity', number>> => {
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0)
  if (tokens === 0) throw new Error('scoreTexts: expected at least one token, got none')
  const loss = answers.reduce((sum, answer) => sum + answer.loss * answer.tokens, 0) / tokens
  return { loss, perplexity: Math.exp(loss) }
}
