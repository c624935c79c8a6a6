/** Weights of the classes in the training loss: balanced as in scikit-learn, or given by the user. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { decimal } from '../../data/dataset.js'
import { labelIndexIn } from '../../data/labels.js'

const flag = '--class-weights'

/** The share of the largest class above which a model may learn to answer nothing else. */
const largestShare = 2 / 3

/** The class of more than two thirds of the labels, with its share; null: there is none. */
export const dominantClass = (labels: readonly number[]): { readonly label: number; readonly share: number } | null => {
  const counts = new Map<number, number>()
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1)
  const [label, count] = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most), [0, 0] as const)
  return counts.size > 1 && count > largestShare * labels.length ? { label, share: count / labels.length } : null
}

/**
 * One weight per class. @param weights `equal`; `balanced`: n / (classes · nₖ) of the training labels; or `bad=1,good=3`, where other classes have 1
 * @throws InputError if a weight is out of bounds or a class is unknown
 */
export const classWeightsOf = (weights: string, labelNames: readonly string[], labels: readonly number[]): readonly number[] => {
  if (weights === 'equal') return labelNames.map(() => 1)
  if (weights === 'balanced') return balancedWeights(labelNames.length, labels)
  const byName = new Map(weights.split(',').map((part) => weightOf(part, labelNames)))
  return labelNames.map((name) => byName.get(name) ?? 1)
}

/** A class without examples has weight 1: it is not part of the loss. */
const balancedWeights = (classes: number, labels: readonly number[]): readonly number[] => {
  const counts = new Array<number>(classes).fill(0)
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1
  return counts.map((count) => (count === 0 ? 1 : labels.length / (classes * count)))
}

/** `LABEL=WEIGHT`, split at the last equals sign: a label may contain one. */
const weightOf = (part: string, labelNames: readonly string[]): readonly [string, number] => {
  const at = part.lastIndexOf('=')
  const [name, weight] = [part.slice(0, Math.max(0, at)).trim(), decimal(part.slice(at + 1).trim())]
  if (at < 0 || weight === null || weight <= 0 || weight > largestWeight)
    throw inputError(flag, `balanced, equal, or LABEL=WEIGHT with commas, each weight above 0 and at most ${largestWeight}`, quoted(part))
  const known = labelNames[labelIndexIn(labelNames)(name) ?? -1]
  if (known === undefined) throw inputError(flag, `labels of the training data (${labelNames.slice(0, 12).join(', ')})`, quoted(name))
  return [known, weight]
}

const largestWeight = 1e6
