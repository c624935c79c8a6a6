/** The documents of JSON lines, as the tests believe them to be. */
export const jsonLines = <T>(text: string): ReadonlyArray<T> =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
