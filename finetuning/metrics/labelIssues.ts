/**
 * Confident learning: which labels of held-out rows are probably wrong (Northcutt, Jiang and Chuang, 2021, Journal of Artificial Intelligence
 * Research 70).
 */
import { mean } from 'simple-statistics'

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
