/** Packing of texts: several share a row of as many tokens as one example may have, and see nothing of each other. */
import type { TextExample } from '../../accelerated/objectives/causalLM.js'

/**
 * Rows of at most `maxLength` tokens, filled with texts in the order of their lengths: attention is computed as wide as a batch's longest text,
 * so that texts of one length belong together. A row is named by its first text's.
 */
export const packed = (texts: ReadonlyArray<TextExample>, maxLength: number): ReadonlyArray<TextExample> => {
  const order = texts.map((_, i) => i).sort((a, b) => lengthOf(texts[a]) - lengthOf(texts[b]) || a - b)
  const rows: TextExample[][] = []
  let room = 0
  for (const i of order) {
    const text = texts[i] as TextExample
    if (lengthOf(text) > room) {
      rows.push([])
      room = maxLength
    }
    rows.at(-1)?.push(text)
    room -= lengthOf(text)
  }
  return rows.map(joined)
}

const lengthOf = (text: TextExample | undefined): number => text?.inputIds.length ?? 0

const joined = (texts: ReadonlyArray<TextExample>): TextExample => {
  const all = (of: (text: TextExample) => ArrayLike<number>): Int32Array => Int32Array.from(texts.flatMap((text) => Array.from(of(text))))
  let end = 0
  const ends = texts.map((text) => (end += lengthOf(text)))
  return { inputIds: all(({ inputIds }) => inputIds), targets: all(({ targets }) => targets), ends, row: texts[0]?.row ?? 0 }
}
