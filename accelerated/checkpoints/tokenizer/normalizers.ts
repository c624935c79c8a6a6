/** What Hugging Face's tokenizers do to a text before it is cut, where the library does it as JavaScript does. */

/** The blocks of Chinese characters that BERT's normalizer puts blanks around. The library misses those of two UTF-16 units. */
const chinese = /[\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu

export const spacedChinese = (text: string): string => text.replaceAll(chinese, ' $& ')

/** Each letter alone: the last Σ of a word becomes σ as any other, where JavaScript has ς. */
export const lowercase = (text: string): string => withoutFinalSigma(text).toLowerCase()

export const withoutFinalSigma = (text: string): string => text.replaceAll('Σ', 'σ')

const isSpace = (text: string, at: number): boolean => /\p{White_Space}/u.test(text.charAt(at))

/** A text without white space at its sides, by Unicode: JavaScript also strips U+FEFF, and leaves U+0085. */
export const strip = (text: string, { left, right }: { readonly left: boolean; readonly right: boolean }): string => {
  let [start, end] = [0, text.length]
  while (left && start < end && isSpace(text, start)) start++
  while (right && start < end && isSpace(text, end - 1)) end--
  return text.slice(start, end)
}
