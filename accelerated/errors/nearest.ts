/** The nearest name by edit distance: what a user who mistyped may have meant. */

/** Insertions, deletions, substitutions and swaps of neighbors that turn one text into the other (optimal string alignment). */
const editDistance = (from: string, to: string): number => {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1]
      const swap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1] ? (rows[i - 2]?.[j - 2] ?? 0) + 1 : Infinity
      row.push(Math.min((rows[i - 1]?.[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (rows[i - 1]?.[j - 1] ?? 0) + (isSame ? 0 : 1), swap))
    }
    rows.push(row)
  }
  return rows[from.length]?.[to.length] ?? Infinity
}

/** A third of the letters may differ, and three at most. */
const tolerance = (text: string): number => Math.min(3, Math.ceil(text.length / 3))

/** The remedy for a mistyped name: `did you mean "rank"?`; null where no name is near. Case, - and _ do not count, as in max_new_tokens. */
export const didYouMean = (typed: string, names: readonly string[]): string | null => {
  const near = names.find((name) => plain(name) === plain(typed)) ?? nearest(typed, names)
  return near === null ? null : `did you mean "${near}"?`
}

const plain = (name: string): string => name.replaceAll(/[-_]/g, '').toLowerCase()

/** null where no name is near */
export const nearest = (typed: string, names: readonly string[]): string | null => {
  if (typed.length > 100) return null
  const [best] = names.map((name) => ({ name, distance: editDistance(typed, name) })).sort((a, b) => a.distance - b.distance)
  return best !== undefined && best.distance <= tolerance(typed) ? best.name : null
}

/** Alternatives in a sentence. `a, b or c`; after `most` names, how many more there are. */
export const alternatives = (names: readonly string[], most = 12): string => {
  if (names.length > most) return `${names.slice(0, most).join(', ')} or ${names.length - most} more`
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}
