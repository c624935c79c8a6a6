/** The regular expressions for words that the supported families' tokenizer.json files have. A file's own expressions never run. */
const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const rest = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const wordsByKind = (digits: string): string =>
  `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${rest}`
const [upper, lower] = ['[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]', '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]']
const wordsByCase = (end: string, digits: string): string =>
  [`${upper}*${lower}+`, `${upper}+${lower}*`].map((word) => `[^\\r\\n\\p{L}\\p{N}]?${word}${end}`).join('|') +
  `|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${rest}`

export const knownWords = {
  llama3: wordsByKind('\\p{N}{1,3}'),
  qwen2: wordsByKind('\\p{N}'),
  mistralNemo: wordsByCase('', '\\p{N}'),
  gpt4o: wordsByCase(`${contraction}?`, '\\p{N}{1,3}'),
} as const
