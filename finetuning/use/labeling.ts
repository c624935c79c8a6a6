/**
 * A labeling loop: a probe on embeddings is fitted again after each label, and asks for the row of which it is least sure (Lewis and Gale, 1994).
 * Every fifth row is drawn at random, so that classes are found which the probe does not know.
 */
import { computeLogits, fitLinearModel } from '../../accelerated/probe/linearModel.js'
import { permutation } from '../../accelerated/parameters/random.js'

/** A row by its place, and its class. */
export type ClassOfRow = { readonly row: number; readonly label: number }

export type LabelingLoop = {
  /** The row to ask for, of those without a label and not among `skipped`; null: there is none. */
  readonly next: (labels: readonly ClassOfRow[], skipped: ReadonlySet<number>) => number | null
  /** How many labels a probe predicts right that was fitted on four fifths of the others; null: there are too few. */
  readonly crossValidate: (labels: readonly ClassOfRow[]) => number | null
}

/** Of each five rows, the last is drawn at random. */
const randomEvery = 5
/** C of the probe: between scikit-learn's 1 and what folds choose of a few hundred rows. To choose it after each key would take seconds. */
const strength = 10
/** Parts of the labels, each of which is held out once. */
const parts = 5

/** @param features [rows][width], embeddings @param classes how many there are */
export const labelingLoop = (features: readonly ArrayLike<number>[], classes: number): LabelingLoop => {
  const order = permutation(0, 'order', 0, features.length)
  let model: ReturnType<typeof fitLinearModel> | undefined
  const toData = (labels: readonly ClassOfRow[]) => ({
    rows: labels.map(({ row }) => features[row] ?? []),
    targets: { kind: 'single', classes, labels: labels.map(({ label }) => label) } as const,
    hasBias: true,
  })
  return {
    next: (labels, skipped) => {
      const done = new Set([...labels.map(({ row }) => row), ...skipped])
      const open = [...order].filter((row) => !done.has(row))
      const [drawn] = open
      if (drawn === undefined) return null
      if (new Set(labels.map(({ label }) => label)).size < 2 || labels.length % randomEvery === randomEvery - 1) return drawn
      const fitted = fitLinearModel(toData(labels), strength, undefined, model)
      model = fitted
      const scored = open.map((row) => ({ row, sure: confidence(computeLogits(fitted, features[row] ?? [])) }))
      return scored.reduce((least, one) => (one.sure < least.sure ? one : least)).row
    },
    crossValidate: (labels) => {
      if (labels.length < 2 * parts || new Set(labels.map(({ label }) => label)).size < 2) return null
      const data = toData(labels)
      const sorted = labels.map((_, i) => i).sort((a, b) => (labels[a]?.label ?? 0) - (labels[b]?.label ?? 0) || a - b)
      return Array.from({ length: parts }, (_, part) => {
        const fitted = fitLinearModel(
          data,
          strength,
          sorted.filter((__, i) => i % parts !== part),
        )
        const held = sorted.filter((__, i) => i % parts === part)
        return held.filter((i) => largest(computeLogits(fitted, data.rows[i] ?? [])) === labels[i]?.label).length
      }).reduce((a, b) => a + b, 0)
    },
  }
}

const largest = (logits: readonly number[]): number => logits.reduce((best, z, i) => (z > (logits[best] ?? -Infinity) ? i : best), 0)

/** The probability of the most probable class. */
const confidence = (logits: readonly number[]): number => {
  const most = logits[largest(logits)] ?? 0
  return 1 / logits.reduce((sum, z) => sum + Math.exp(z - most), 0)
}
