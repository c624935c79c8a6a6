/** The documents of JSON lines, as the tests believe them to be. */
export const jsonLines = <T>(text: string): readonly T[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
