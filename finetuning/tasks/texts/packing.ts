/** Packing: several texts share one row of at most `maxLength` tokens and do not attend to each other. */
import type { TextExample } from '../../../accelerated/objectives/causalLM.js'

/**
 * Packs texts into rows of at most `maxLength` tokens, shortest text first. Attention is as wide as the longest text of a batch,
 * so texts of similar length share a row. `row` of a packed row is that of its first text.
 */
export const packed = (texts: readonly TextExample[], maxLength: number): readonly TextExample[] => {
  const order = texts.map((_, i) => i).sort((a, b) => lengthOf(texts[a]) - lengthOf(texts[b]) || a - b)
  const rows: TextExample[][] = []
  let free = 0 // tokens left in the last row
  for (const i of order) {
    const text = texts[i] as TextExample
    if (lengthOf(text) > free) {
      rows.push([])
      free = maxLength
    }
    rows.at(-1)?.push(text)
    free -= lengthOf(text)
  }
  return rows.map(joined)
}

const lengthOf = (text: TextExample | undefined): number => text?.inputIds.length ?? 0

const joined = (texts: readonly TextExample[]): TextExample => {
  const concatenate = (of: (text: TextExample) => ArrayLike<number>): Int32Array =>
    Int32Array.from(texts.flatMap((text) => Array.from(of(text))))
  let end = 0
  const ends = texts.map((text) => (end += lengthOf(text)))
  return {
    inputIds: concatenate(({ inputIds }) => inputIds),
    targets: concatenate(({ targets }) => targets),
    ends,
    row: texts[0]?.row ?? 0,
  }
}
