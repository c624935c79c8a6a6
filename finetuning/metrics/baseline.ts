/** The majority-class baseline, and the detection of constant predictions. */

export type MajorityClass = {
  readonly label: number
  readonly count: number
  /** The accuracy of always answering `label`, in [0, 1]. */
  readonly share: number
}

/** The most frequent label; among equals, the smallest. @throws Error if there is no label */
export const majorityClass = (labels: ReadonlyArray<number>): MajorityClass => {
  const counts = new Map<number, number>()
  labels.forEach((label) => counts.set(label, (counts.get(label) ?? 0) + 1))
  const [first] = Array.from(counts).sort(([a, m], [b, n]) => n - m || a - b)
  if (first === undefined) throw new Error('majorityClass: expected at least one label, got none')
  const [label, count] = first
  return { label, count, share: count / labels.length }
}

/**
 * The one value that all predictions share. It is null if they differ by more than `tolerance` (in the predictions' units; 0 for
 * classes), or if there are fewer than two. It detects a collapsed training whose accuracy looks fair.
 */
export const constantPrediction = (predictions: ReadonlyArray<number>, tolerance = 0): number | null => {
  const [first] = predictions
  if (first === undefined || predictions.length < 2) return null
  const [least, most] = predictions.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [first, first])
  return most - least <= tolerance ? first : null
}
