/** Tokenizes the corpus into one array of token ids. */
import { Tokenizer } from '@huggingface/tokenizers'

export type TokenizedCorpus = {
  /** [tokens]: the ids of all lines, one line after another, without `<s>` and `</s>`. */
  readonly tokens: Uint16Array
  /** [lines + 1]: line i is `tokens.subarray(starts[i], starts[i + 1])`. */
  readonly starts: Uint32Array
}

/** Tokenizes lines by a `tokenizer.json`. A literal special token in a line is plain text. @throws Error if the vocabulary exceeds 16 bits */
export const tokenizeCorpus = (lines: ReadonlyArray<string>, tokenizerJson: object): TokenizedCorpus => {
  const tokenizer = new Tokenizer({ ...tokenizerJson, added_tokens: [] }, {})
  const { size } = tokenizer.get_vocab()
  if (size > 0x10000) throw new Error(`tokenizeCorpus: expected at most 65536 tokens, actual ${size}`)
  const encoded = lines.map((line) => Uint16Array.from(tokenizer.encode(line, { add_special_tokens: false }).ids))
  const starts = new Uint32Array(lines.length + 1)
  encoded.forEach((ids, i) => {
    starts[i + 1] = (starts[i] as number) + ids.length
  })
  const tokens = new Uint16Array(starts[lines.length] as number)
  encoded.forEach((ids, i) => tokens.set(ids, starts[i] as number))
  return { tokens, starts }
}
