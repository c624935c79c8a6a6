/** The mean of each text's rows. */
import { generate, matrixShape, type Tensor } from '../tensor/tensor.js'

/** The text of each row. */
const textIndices = (lengths: readonly number[]): readonly number[] => lengths.flatMap((length, text) => Array.from({ length }, () => text))

/** x: [tokens, width], the texts one after another → [texts, width] */
export const meanPool = (x: Tensor, lengths: readonly number[]): Tensor => {
  const [, width] = matrixShape('meanPool', x)
  const texts = textIndices(lengths)
  return generate([lengths.length, width], (i) => {
    const [text, column] = [Math.floor(i / width), i % width]
    return texts.reduce((sum, of, row) => (of === text ? sum + x.data[row * width + column]! : sum), 0) / lengths[text]!
  })
}

/** x̄ of a row is ȳ of its text over the text's length. yBar: [texts, width] → [tokens, width] */
export const meanPoolVjp = (yBar: Tensor, lengths: readonly number[]): Tensor => {
  const [, width] = matrixShape('meanPoolVjp', yBar)
  const texts = textIndices(lengths)
  return generate([texts.length, width], (i) => {
    const text = texts[Math.floor(i / width)]!
    return yBar.data[text * width + (i % width)]! / lengths[text]!
  })
}
