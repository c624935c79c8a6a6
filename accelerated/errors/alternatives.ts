/** Alternatives in a sentence. */

/** `a, b or c`; after `most` names, how many more there are. */
export const alternatives = (names: ReadonlyArray<string>, most = 12): string => {
  if (names.length > most) return `${names.slice(0, most).join(', ')} or ${names.length - most} more`
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}
