/** The warning about classified texts that have more tokens than the model reads; none if there are none. */

/** @param truncated how many of the `texts` have more than `maxLength` tokens */
export const truncationWarnings = (truncated: number, texts: number, maxLength: number): ReadonlyArray<string> => {
  const [count, all] = [truncated, texts].map((n) => n.toLocaleString('en-US'))
  return truncated === 0 ? [] : [`${count} of ${all} texts are longer than --max-length ${maxLength}: they lose their end`]
}
