/** Texts whose class is plain from their words. */
export const toyRows = (count: number): readonly { readonly text: string; readonly label: string }[] =>
  Array.from({ length: count }, (_, i) =>
    i % 2 === 0 ? { text: `good fine great film number ${i}`, label: 'good' } : { text: `bad awful poor film number ${i}`, label: 'bad' },
  )

/** The warning of a run whose gates are sampled in too few steps for its ranks to mean anything. Toy runs are that short. */
export const shortWindow = /^warning: gates are sampled in only \d+ steps?: below 40 .*\n/

/** The warning of a run whose evaluation file repeats texts of the training file. Toy files do. */
export const sharedTexts = /^warning: \d+ of \d+ evaluation texts are also trained on.*\n/

export const toyFile = (count: number): string =>
  ['text\tlabel', ...toyRows(count).map(({ text, label }) => `${text}\t${label}`)].join('\n')

/** Twelve instructions in words of the fixtures' vocabulary, as JSON lines. */
export const toyInstructions = (): string =>
  Array.from({ length: 12 }, (_, i) => JSON.stringify({ instruction: `w${i + 5} w8`, input: '', output: `w${i + 9} w6` })).join('\n')
