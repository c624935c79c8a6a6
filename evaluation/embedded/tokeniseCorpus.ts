/** A corpus as one array of token ids: what the pre-training script draws its batches from. */
import type { BytePairTokenizer } from './bytePairEncoding.js'

export type TokenisedCorpus = {
  /** [tokens]: the ids of all lines, one line after another, without `<s>` and `</s>`. */
  readonly tokens: Uint16Array
  /** [lines + 1]: line i is `tokens.subarray(starts[i], starts[i + 1])`. */
  readonly starts: Uint32Array
}

/** Tokenises lines. Throws where the vocabulary does not fit 16 bits. */
export const tokeniseCorpus = (lines: ReadonlyArray<string>, tokenizer: BytePairTokenizer): TokenisedCorpus => {
  if (tokenizer.size > 0x10000) throw new Error(`tokeniseCorpus: expected at most 65536 tokens, actual ${tokenizer.size}`)
  const encoded = lines.map((line) => Uint16Array.from(tokenizer.encode(line)))
  const starts = new Uint32Array(lines.length + 1)
  encoded.forEach((ids, i) => {
    starts[i + 1] = (starts[i] as number) + ids.length
  })
  const tokens = new Uint16Array(starts[lines.length] as number)
  encoded.forEach((ids, i) => tokens.set(ids, starts[i] as number))
  return { tokens, starts }
}
