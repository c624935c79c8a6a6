/** Metrics of a ranking (Järvelin and Kekäläinen, 2002): how far up the first ten places of a query's list its best texts stand. */

/** Places that count. */
const places = 10

/** The grades of a query's texts in the order of their scores. Of equal scores the lowest grade comes first: a model that cannot tell is not rewarded. */
export const rankGrades = (scores: readonly number[], grades: readonly number[]): readonly number[] =>
  grades
    .map((grade, i) => [scores[i] ?? NaN, grade] as const)
    .sort(([a, g], [b, h]) => b - a || g - h)
    .map(([, grade]) => grade)

/** The reciprocal rank of the first text of the best grade; 0 beyond ten places. @param ranked grades, at least one above 0 */
export const reciprocalRank = (ranked: readonly number[]): number => {
  const best = ranked.reduce((most, grade) => Math.max(most, grade), -Infinity)
  const rank = ranked.indexOf(best) + 1
  return rank <= places ? 1 / rank : 0
}

/** Σ grade / log₂(rank + 1) over ten places, as a share of that of the best order. */
export const normalizedGain = (ranked: readonly number[]): number => gain(ranked) / gain(ranked.toSorted((a, b) => b - a))

const gain = (ranked: readonly number[]): number => ranked.slice(0, places).reduce((sum, grade, i) => sum + grade / Math.log2(i + 2), 0)

/** The share of the texts with a grade above 0 that ten places hold. */
export const recallAmongTen = (ranked: readonly number[]): number => {
  const relevant = (grades: readonly number[]): number => grades.filter((grade) => grade > 0).length
  return relevant(ranked.slice(0, places)) / relevant(ranked)
}
