/** Texts whose class is plain from their words. */
export const toyRows = (count: number): ReadonlyArray<{ readonly text: string; readonly label: string }> =>
  Array.from({ length: count }, (_, i) =>
    i % 2 === 0 ? { text: `good fine great film number ${i}`, label: 'good' } : { text: `bad awful poor film number ${i}`, label: 'bad' },
  )

export const toyFile = (count: number): string =>
  ['text\tlabel', ...toyRows(count).map(({ text, label }) => `${text}\t${label}`)].join('\n')
