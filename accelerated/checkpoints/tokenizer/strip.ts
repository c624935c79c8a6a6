/** A text without certain characters at its sides. */

export type Sides = { readonly left: boolean; readonly right: boolean }

/** @param drops whether a character goes, if it is at a side */
export const strip = (text: string, { left, right }: Sides, drops: (character: string) => boolean): string => {
  let [start, end] = [0, text.length]
  if (left)
    for (const character of text) {
      if (!drops(character)) break
      start += character.length
    }
  while (right && start < end) {
    const last = [...text.slice(Math.max(start, end - 2), end)].at(-1) ?? '' // it may have two units of UTF-16
    if (!drops(last)) break
    end -= last.length
  }
  return text.slice(start, end)
}
