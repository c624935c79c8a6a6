/** A decoder that keeps the cache of its last text, so that the next turn of a conversation reads only what is new. */
import type { DecodedRows, Decoder } from './decoder.js'

/**
 * A single prompt that begins with the tokens of the last text keeps their part of the cache. Several prompts, and texts of several rows (beams),
 * begin anew. Logits differ from those of a fresh start by rounding alone.
 */
export const keepingCache = (decoder: Decoder): Decoder => {
  let last: { readonly rows: DecodedRows; readonly tokens: readonly number[] } | null = null
  const begin: Decoder['begin'] = async (prompts, signal) => {
    const [[prompt = []] = [], before] = [prompts, last]
    last = null // until the tokens are read
    if (prompts.length !== 1) return decoder.begin(prompts, signal)
    const same = Math.min(sharedLength(before?.tokens ?? [], prompt), prompt.length - 1) // the last token's logits are needed
    const rows = before !== null && same > 0 ? before.rows : await decoder.begin(prompts, signal)
    if (before !== null && same > 0) await rows.reread(same, prompt.slice(same), signal)
    if (signal?.aborted !== true) last = { rows, tokens: prompt }
    return {
      ...rows,
      append: async (next) => {
        const read = last
        last = null
        await rows.append(next)
        const [only] = next
        if (read?.rows === rows && next.length === 1 && only !== undefined) last = { rows, tokens: [...read.tokens, only.token] }
      },
    }
  }
  return { ...decoder, begin }
}

const sharedLength = (a: readonly number[], b: readonly number[]): number => {
  const different = a.findIndex((token, i) => token !== b[i])
  return different < 0 ? a.length : different
}
