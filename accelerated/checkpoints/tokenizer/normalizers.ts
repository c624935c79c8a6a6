/** What Hugging Face's tokenizers do to a text before it is cut, where the library does it as JavaScript does. */

/** The blocks of Chinese characters that BERT's normalizer puts blanks around. The library misses those of two UTF-16 units. */
const chinese = /[\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu

export const spacedChinese = (text: string): string => text.replaceAll(chinese, ' $& ')

/** Lowercases each letter alone. JavaScript makes ς of a Σ that ends a word; Hugging Face's tokenizers make σ of every Σ. */
export const lowercase = (text: string): string => withoutFinalSigma(text).toLowerCase()

export const withoutFinalSigma = (text: string): string => text.replaceAll('Σ', 'σ')

/** Whether Unicode counts a character as white space. JavaScript's trim also takes U+FEFF, and leaves U+0085. */
export const isWhiteSpace = (character: string): boolean => /\p{White_Space}/u.test(character)
