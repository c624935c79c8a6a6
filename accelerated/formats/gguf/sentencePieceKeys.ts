/** A tokenizer of LLaMA 2's kind as keys of GGUF: llama.cpp merges the neighbors whose token has the highest score, from SentencePiece. */
import type { WrittenKeys } from '../../models/gguf.js'
import type { TokenizerFile } from '../../checkpoints/tokenizer/tokenizerFile.js'
import { inputError, quoted } from '../../errors/inputError.js'

type Bpe = Extract<TokenizerFile['model'], { readonly type: 'BPE' }>

/** A tokenizer's tokens by id. */
type Tokens = readonly (string | undefined)[]

/** @throws InputError for blanks that are replaced otherwise, and for merges that no scores give */
export const sentencePieceKeys = (parsed: TokenizerFile, model: Bpe, tokens: Tokens, file: string): WrittenKeys => {
  const missing = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`).find(
    (token) => !tokens.includes(token),
  )
  if (missing !== undefined) throw inputError(file, 'a token for every byte, for GGUF', `none for ${missing}`)
  const prefix = blankPrefix(parsed)
  if (prefix === null)
    throw inputError(file, 'blanks that become ▁, as the normalizers of LLaMA 2 and Gemma write them, for GGUF', 'others')
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'default' }],
    ['tokenizer.ggml.scores', { type: 'float32s', value: scoresOf(model, tokens, file) }],
    ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: prefix }],
  ]
}

/** Whether a text and each part between added tokens begin with ▁, where every blank becomes one; null if it does not. */
const blankPrefix = ({ normalizer, pre_tokenizer: pre }: TokenizerFile): boolean | null => {
  const parts = normalizer === null ? [] : normalizer.type === 'Sequence' ? normalizer.normalizers : [normalizer]
  const [first, second, ...more] = parts
  const hasPrefix = first?.type === 'Prepend' && first.prepend === '▁'
  const [replace, rest] = hasPrefix ? [second, more] : [first, parts.slice(1)]
  const replaces = replace?.type === 'Replace' && 'String' in replace.pattern && replace.pattern.String === ' ' && replace.content === '▁'
  return pre === null && replaces && rest.length === 0 ? hasPrefix : null
}

/**
 * A token's score is minus the place of its first merge. llama.cpp merges any two tokens whose text together is a token. So the file's merges must
 * be all of these, and those of one token must follow one another.
 */
const scoresOf = ({ merges, vocab }: Bpe, tokens: Tokens, file: string): readonly number[] => {
  const ids = vocab as Readonly<Record<string, number>>
  const scores = new Map<string, number>()
  const listed = new Map<string, number>()
  let last = ''
  merges.forEach((merge, rank) => {
    const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ') : (merge as readonly string[])
    const made = left + right
    if (scores.has(made) && made !== last)
      throw inputError(file, 'merges of one token that follow one another, for GGUF', `those of ${quoted(made)} apart`)
    last = made
    if (!scores.has(made)) scores.set(made, -rank)
    listed.set(made, (listed.get(made) ?? 0) + 1)
  })
  for (const token of Object.keys(ids)) {
    let pairs = 0
    for (let at = 1; at < token.length; at++) if (Object.hasOwn(ids, token.slice(0, at)) && Object.hasOwn(ids, token.slice(at))) pairs++
    const isMerged = listed.has(token)
    if (pairs !== (listed.get(token) ?? 0) && (isMerged || !/^<.*>$/.test(token)))
      throw inputError(file, `all ${pairs} merges of ${quoted(token)}, for GGUF`, String(listed.get(token) ?? 0))
  }
  return tokens.map((token) => (token === undefined ? 0 : (scores.get(token) ?? 0)))
}
