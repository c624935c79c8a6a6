/** A metric of the user's own: its type, and a score of it that is a number or one clear line. */
import { inputError, quoted, reason, formatValue } from '../../accelerated/errors/inputError.js'

/** A class by name, the classes that hold, the tags of a sentence's words, or a number. */
export type MetricValue = string | number | readonly string[]

/**
 * The exports of a metric's module, or its default export.
 *
 * ```js
 * export const name = 'balancedAccuracy'
 * export const higherIsBetter = true
 * export const score = (predictions, labels) => …
 * ```
 */
export type MetricDefinition<Value extends MetricValue = MetricValue> = {
  /** Its name among the scores: a letter, then letters, digits and underscores. */
  readonly name: string
  /** The direction: whether the best checkpoint has the largest score, or the smallest. */
  readonly higherIsBetter: boolean
  /** A pure function. Both lists have one value per evaluation example, in the same order. */
  score(predictions: readonly Value[], labels: readonly Value[]): number
}

/** What a metric compares. */
export type Compared = { readonly predictions: readonly MetricValue[]; readonly labels: readonly MetricValue[] }

/** @throws InputError if the exports are no metric */
export const metricIn = (exports: Readonly<Record<string, unknown>>, file: string): MetricDefinition => {
  const { default: other } = exports
  const { name, higherIsBetter, score } = (typeof other === 'object' && other !== null ? other : exports) as Readonly<
    Record<string, unknown>
  >
  if (typeof name !== 'string' || !/^[A-Za-z]\w{0,63}$/.test(name))
    throw inputError(file, 'an export "name" of at most 64 letters, digits and underscores', formatValue(name))
  if (typeof higherIsBetter !== 'boolean') throw inputError(file, 'an export "higherIsBetter", true or false', formatValue(higherIsBetter))
  if (typeof score !== 'function') throw inputError(file, 'an export "score", a function of predictions and labels', formatValue(score))
  return { name, higherIsBetter, score: score as MetricDefinition['score'] }
}

/** @throws InputError if the function throws, or returns something other than a finite number */
export const computeScore = ({ name, score }: MetricDefinition, file: string, { predictions, labels }: Compared): number => {
  let value: unknown
  try {
    value = score(predictions, labels)
  } catch (thrown) {
    throw inputError(file, `a number from the metric ${name}`, `an error: ${quoted(reason(thrown), 200)}`)
  }
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw inputError(file, `a finite number from the metric ${name}`, formatValue(value))
  return value
}
