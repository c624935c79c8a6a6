/** Weights of the classes in the loss of training: as scikit-learn balances them, or as the user says. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { decimal } from '../data/dataset.js'

const flag = '--class-weights'

/**
 * By class, from `balanced` or `bad=1,good=3` (a class that is not named has 1); null where none were asked for.
 * balanced: n / (classes · nₖ) of the training labels. @throws Mistake
 */
export const classWeightsOf = (
  given: string | null,
  labelNames: ReadonlyArray<string> | null,
  labels: ReadonlyArray<number>,
): ReadonlyArray<number> | null => {
  if (given === null) return null
  if (labelNames === null) throw inputError(flag, 'none, as a regression has no classes', quoted(given))
  if (given === 'balanced') return balanced(labelNames.length, labels)
  const named = new Map(given.split(',').map((part) => weightOf(part, labelNames)))
  return labelNames.map((name) => named.get(name) ?? 1)
}

/** A class that no example has takes no part in the loss. */
const balanced = (classes: number, labels: ReadonlyArray<number>): ReadonlyArray<number> => {
  const counts = new Array<number>(classes).fill(0)
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1
  return counts.map((count) => (count === 0 ? 1 : labels.length / (classes * count)))
}

/** `LABEL=WEIGHT`: the last equals sign, since a label may have one. */
const weightOf = (part: string, labelNames: ReadonlyArray<string>): readonly [string, number] => {
  const at = part.lastIndexOf('=')
  const [name, weight] = [part.slice(0, Math.max(0, at)).trim(), decimal(part.slice(at + 1).trim())]
  if (at < 0 || weight === null || weight <= 0 || weight > largest)
    throw inputError(flag, `balanced, or LABEL=WEIGHT with commas, each weight above 0 and at most ${largest}`, quoted(part))
  if (!labelNames.includes(name))
    throw inputError(flag, `labels of the training data (${labelNames.slice(0, 12).join(', ')})`, quoted(name))
  return [name, weight]
}

const largest = 1e6
