/** Tokens of one text or two for embeddings: each text is a sequence of its own, and `ends` says where each one ends. */
import type { Encoding, Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'

export type PairEncoding = Encoding & { readonly ends: readonly number[] }

/** @param maxLength tokens of each text @throws SettingsError or InputError as `encode` of the tokenizer */
export const encodePair = (
  { encode }: Pick<Tokenizer, 'encode'>,
  text: string,
  textPair: string | undefined,
  maxLength: number,
): PairEncoding => {
  const parts = [text, ...(textPair === undefined ? [] : [textPair])].map((part) => encode(part, undefined, maxLength))
  const isTruncated = parts.some(({ truncated }) => truncated === true)
  let end = 0
  return {
    inputIds: parts.flatMap(({ inputIds }) => inputIds),
    tokenTypeIds: parts.flatMap(({ tokenTypeIds }) => tokenTypeIds),
    ends: parts.map(({ inputIds }) => {
      end += inputIds.length
      return end
    }),
    ...(isTruncated ? { truncated: true } : {}),
  }
}
