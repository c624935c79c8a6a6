/**
 * Where a text is cut into words, as Hugging Face's tokenizers cut it: by Unicode. The library's own cuts are JavaScript's. Its \s has U+FEFF and
 * lacks U+0085. Its \d has ten digits, and its \w no letter outside ASCII.
 */
import type { TokenizerFile } from './tokenizerFile.js'

type PreTokenizer = NonNullable<TokenizerFile['pre_tokenizer']>
type Part = Exclude<PreTokenizer, { readonly type: 'Sequence' }>

const [letters, punctuation] = [
  '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}',
  '\\p{P}\\u0021-\\u002F\\u003A-\\u0040\\u005B-\\u0060\\u007B-\\u007E',
]

/** GPT-2's words, whose bytes a ByteLevel takes. */
export const bytesWords =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu

/** The words that these parts leave of a text. */
const words: Readonly<Partial<Record<Part['type'], (part: Part) => string>>> = {
  BertPreTokenizer: () => `[^\\s${punctuation}]+|[${punctuation}]`,
  Digits: (part) => `[^\\p{N}]+|\\p{N}${'individual_digits' in part && part.individual_digits === true ? '' : '+'}`,
  Whitespace: () => `[${letters}]+|[^${letters}\\s]+`,
  WhitespaceSplit: () => '\\S+',
}

const byUnicode = (part: Part): object => {
  const Regex = words[part.type]?.(part)
  return Regex === undefined ? part : { type: 'Split', pattern: { Regex }, behavior: 'Removed', invert: true }
}

/** The file's pre-tokenizer, whose cuts the library makes by Unicode. */
export const unicodePreTokenizer = (preTokenizer: TokenizerFile['pre_tokenizer']): object | null => {
  if (preTokenizer === null) return null
  return preTokenizer.type === 'Sequence'
    ? { type: 'Sequence', pretokenizers: preTokenizer.pretokenizers.map(byUnicode) }
    : byUnicode(preTokenizer)
}
