/**
 * How far a classifier's probabilities can be trusted: temperature scaling and the expected calibration error (Guo et al., 2017), and the labels
 * that are probably wrong. Dividing the logits by a temperature changes no answer, only how sure it is. And how far a share of the rows that were
 * scored may be from the share of many more rows.
 */
import { mean } from 'simple-statistics'

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

/**
 * Confident learning: which labels of held-out rows are probably wrong (Northcutt, Jiang and Chuang, 2021, Journal of Artificial Intelligence
 * Research 70).
 */

/** cleanlab compares with this tolerance. */
const tolerance = 1e-6

/**
 * Whether each row is off the diagonal of the confident joint. A class's threshold is the mean probability that its rows have of it. A row counts for
 * the class whose threshold its probability reaches, or for the most probable one of several; its label is an issue if that is another class.
 * The same as cleanlab's `find_label_issues(filter_by='confident_learning')` for rows that the model predicts otherwise.
 * @param probabilities [rows][classes], of a model that was not trained on the rows @param labels [rows], classes from 0
 */
export const labelIssues = (probabilities: readonly (readonly number[])[], labels: readonly number[]): readonly boolean[] => {
  const confidences = new Map<number, number[]>()
  labels.forEach((label, row) => {
    const ofLabel = confidences.get(label) ?? []
    ofLabel.push(probabilities[row]?.[label] ?? NaN)
    confidences.set(label, ofLabel)
  })
  const thresholds = new Map(Array.from(confidences, ([label, values]) => [label, mean(values)]))
  return probabilities.map((shares, row) => {
    const confident = shares.flatMap((share, label) => (share >= (thresholds.get(label) ?? Infinity) - tolerance ? [label] : []))
    const predicted = shares.reduce((best, share, label) => (share > (shares[best] ?? -Infinity) ? label : best), 0)
    const counted = confident.length > 1 ? predicted : confident[0]
    return counted !== undefined && counted !== labels[row] && predicted !== labels[row]
  })
}

/** Wilson's interval of 95 % for `successes` of `rows` (Wilson, 1927). rows ≥ 1 → [from, to] in [0, 1] */
export const wilsonInterval = (successes: number, rows: number): readonly [from: number, to: number] => {
  const z = 1.959963984540054
  const [share, part] = [successes / rows, (z * z) / rows]
  const center = (share + part / 2) / (1 + part)
  const half = (z / (1 + part)) * Math.sqrt((share * (1 - share)) / rows + part / (4 * rows))
  return [Math.max(0, center - half), Math.min(1, center + half)]
}

/** `17 of 20 rows; 64 to 95 % with more rows`; for a share that is no count of rows, null. */
export const shareInWords = (share: number, rows: number): string | null => {
  const successes = Math.round(share * rows)
  if (rows < 1 || Math.abs(successes / rows - share) > 1e-9) return null
  const [from, to] = wilsonInterval(successes, rows).map((end) => Math.round(end * 100))
  return `${successes.toLocaleString('en-US')} of ${rows.toLocaleString('en-US')} rows (95 % interval: ${from} to ${to} %)`
}
