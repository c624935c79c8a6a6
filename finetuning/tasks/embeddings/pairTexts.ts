/** Which second texts answer which first texts, by the equality of texts alone. */

/** The texts of each pair as numbers: equal texts have one. */
export type PairTexts = { readonly first: readonly number[]; readonly second: readonly number[] }

/** A number for each text, the same for the same text. */
export const numberTexts = (texts: readonly string[]): readonly number[] => {
  const numbers = new Map<string, number>()
  return texts.map((text) => {
    const number = numbers.get(text) ?? numbers.size
    numbers.set(text, number)
    return number
  })
}

/** Whether pair j's second text answers pair i's first text: some pair joins the two. */
export const answering = ({ first, second }: PairTexts): ((i: number, j: number) => boolean) => {
  const answers = new Map<number, Set<number>>()
  first.forEach((text, i) => answers.set(text, (answers.get(text) ?? new Set()).add(second[i] ?? NaN)))
  return (i, j) => answers.get(first[i] ?? NaN)?.has(second[j] ?? NaN) === true
}
