/**
 * Calibration of a classifier's probabilities: temperature scaling, and the expected calibration error (Guo et al., 2017). Dividing the logits by a
 * temperature changes no answer, only how sure it is.
 */

/** Logits [rows][classes] of rows that took no part in training, and their classes. */
export type LabeledLogits = { readonly logits: readonly (readonly number[])[]; readonly labels: readonly number[] }

/** The softmax of logits, in [0, 1]. */
const softmax = (logits: readonly number[], factor: number): readonly number[] => {
  const most = Math.max(...logits)
  const powers = logits.map((z) => Math.exp(factor * (z - most)))
  const total = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / total)
}

/** Inverse temperatures that are tried. */
const [least, most] = [1e-3, 1e3]

/**
 * The temperature T of the least cross entropy of softmax(z / T). A row's class has probability (n + 1) / (n + 2) in it, with n rows of the class, and
 * the others share the rest (Platt, 1999): else, where all rows are right, T would be 0. The slope by 1 / T rises, so its zero is found by halving.
 */
export const fitTemperature = ({ logits, labels }: LabeledLogits): number => {
  const counts = new Map<number, number>()
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1)
  const targets = logits.map((row, i) => {
    const label = labels[i] ?? 0
    const count = counts.get(label) ?? 0
    return row.map((_, c) => (c === label ? (count + 1) / (count + 2) : 1 / ((count + 2) * (row.length - 1))))
  })
  const slope = (factor: number): number =>
    logits.reduce((sum, row, i) => {
      const p = softmax(row, factor)
      return sum + row.reduce((s, z, c) => s + ((p[c] ?? 0) - (targets[i]?.[c] ?? 0)) * z, 0)
    }, 0)
  let [low, high] = [Math.log(least), Math.log(most)]
  for (let halving = 0; halving < 60; halving++) {
    const middle = (low + high) / 2
    if (slope(Math.exp(middle)) < 0) low = middle
    else high = middle
  }
  return Math.exp(-(low + high) / 2)
}

const bins = 15

/** The mean distance between confidence and accuracy over 15 bins of equal width, weighted by their rows: in [0, 1]. */
export const expectedCalibrationError = ({ logits, labels }: LabeledLogits, temperature = 1): number => {
  const sums = Array.from({ length: bins }, () => 0)
  logits.forEach((row, i) => {
    const p = softmax(row, 1 / temperature)
    const confidence = Math.max(...p)
    const bin = Math.min(bins - 1, Math.max(0, Math.ceil(confidence * bins) - 1))
    sums[bin] = (sums[bin] ?? 0) + confidence - (p.indexOf(confidence) === labels[i] ? 1 : 0)
  })
  return sums.reduce((sum, distance) => sum + Math.abs(distance), 0) / logits.length
}
