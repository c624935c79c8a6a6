/** Successive halving (Jamieson & Talwalkar, 2016): every candidate trains for a short time, and only the best third trains three times as long. */

/** One in three candidates continues, with three times the steps. */
const third = 3

/** Fewer steps say nothing about a candidate. */
const leastSteps = 100

export type Rung = { readonly steps: number; readonly candidates: number }

/**
 * The rungs of a search, the shortest first. Each costs about as much as the longest: a third of the candidates take three times the steps.
 * @param steps of the last rung
 */
export const rungsOf = (candidates: number, steps: number): ReadonlyArray<Rung> => {
  const lengths = [steps]
  for (let left = candidates; left > 1 && (lengths[0] ?? 0) / third >= leastSteps; left /= third)
    lengths.unshift(Math.round((lengths[0] ?? 0) / third))
  return lengths.map((length, rung) => ({ steps: length, candidates: Math.max(1, Math.ceil(candidates / third ** rung)) }))
}

/** The best `count` by score; of equal ones, those with the lower loss, then the earlier. A score of NaN never continues. */
export const survivors = <T>(
  candidates: ReadonlyArray<T>,
  count: number,
  judged: (candidate: T) => { readonly score: number; readonly loss: number },
): ReadonlyArray<T> =>
  candidates
    .map((candidate, place) => ({ candidate, place, ...judged(candidate) }))
    .filter(({ score }) => !Number.isNaN(score))
    .sort((a, b) => b.score - a.score || (a.loss || 0) - (b.loss || 0) || a.place - b.place)
    .slice(0, count)
    .map(({ candidate }) => candidate)
