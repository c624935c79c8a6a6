/**
 * A labeling loop: a probe on embeddings is fitted again after each label, and asks for the row of which it is least sure (Lewis and Gale, 1994).
 * Every fifth row is drawn at random, so that classes are found which the probe does not know.
 */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { computeLogits, fitLinearModel } from '../../accelerated/probe/linearModel.js'
import { mean, sampleStandardDeviation } from 'simple-statistics'
import { permutation } from '../../accelerated/parameters/random.js'
import type { LabelsFile, RowToLabel, WrittenLabel } from './labeledRows.js'

/** A row by its place, and its class. */
export type ClassOfRow = { readonly row: number; readonly label: number }

export type LabelingLoop = {
  /** The row to ask for, of those without a label and not among `skipped`; null: there is none. */
  readonly next: (labels: readonly ClassOfRow[], skipped: ReadonlySet<number>) => number | null
  /**
   * Whether each label is predicted right by a probe of the other four fifths; null: there are too few.
   * @param used how many labels, the first ones, probes are fitted on: what fewer labels would have reached on the same rows
   */
  readonly crossValidate: (labels: readonly ClassOfRow[], used?: number) => readonly boolean[] | null
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
    crossValidate: (labels, used = labels.length) => {
      if (used < 2 * parts || new Set(labels.map(({ label }) => label)).size < 2) return null
      const data = toData(labels)
      const sorted = labels.map((_, i) => i).sort((a, b) => (labels[a]?.label ?? 0) - (labels[b]?.label ?? 0) || a - b)
      const right = new Array<boolean>(labels.length).fill(false)
      for (let part = 0; part < parts; part++) {
        const others = sorted.filter((i, place) => place % parts !== part && i < used)
        const fitted = fitLinearModel(data, strength, others)
        for (const i of sorted.filter((_, place) => place % parts === part))
          right[i] = largest(computeLogits(fitted, data.rows[i] ?? [])) === labels[i]?.label
      }
      return right
    },
  }
}

/** Labels whose worth is reported, and the labels before them at least. */
export const newestLabels = 20

/**
 * What the newest labels added to a probe, by the same rows predicted without and with them: nothing where the difference is within its standard error.
 * @param before whether each row is right without them @param after and with them
 */
export const describeGain = (before: readonly boolean[], after: readonly boolean[]): string => {
  const gains = after.map((isRight, i) => Number(isRight) - Number(before[i]))
  const gain = mean(gains)
  const error = sampleStandardDeviation(gains) / Math.sqrt(gains.length)
  const [points, percent] = [
    (x: number) => `${Number((100 * x).toFixed(1))} points`,
    (right: readonly boolean[]) => `${Math.round(100 * mean(right.map(Number)))} %`,
  ]
  const shares = `${percent(before)} with ${after.length - newestLabels} and ${percent(after)} with ${after.length}`
  return `the last ${newestLabels} labels added ${gain > error ? points(gain) : 'nothing'}: ${shares}, ± ${points(error)}`
}

const largest = (logits: readonly number[]): number => logits.reduce((best, z, i) => (z > (logits[best] ?? -Infinity) ? i : best), 0)

/** The probability of the most probable class. */
const confidence = (logits: readonly number[]): number => {
  const most = logits[largest(logits)] ?? 0
  return 1 / logits.reduce((sum, z) => sum + Math.exp(z - most), 0)
}

/** There are nine keys. */
const mostClasses = 9

/** @param names of the classes; null: those of the labels that are present, in the file or from an earlier session @throws InputError */
export const nameClasses = (file: string, names: readonly string[] | null, present: readonly (string | null)[]): readonly string[] => {
  const found = [...new Set(present.filter((one) => one !== null))].sort()
  const classes = names ?? found
  if (classes.length < 2 || classes.length > mostClasses || new Set(classes).size < classes.length)
    throw inputError(
      option('labels'),
      `two to ${mostClasses} different names of classes`,
      classes.length === 0 ? 'none' : quoted(classes.join(',')),
    )
  const other = found.find((one) => !classes.includes(one))
  if (other !== undefined)
    throw inputError(file, words`labels among ${classes.map((name) => quoted(name, 40)).join(', ')} (${option('labels')})`, quoted(other))
  return classes
}

/** Who labels the rows of a file one after another. */
export type LabelingSession = {
  /** the row that is asked for, which `give` and `skip` are about; null: none is left, and they do nothing */
  readonly row: () => number | null
  readonly labels: () => readonly WrittenLabel[]
  /** @throws InputError if the file cannot be written */
  readonly give: (label: string) => Promise<void>
  readonly undo: () => Promise<void>
  readonly skip: () => void
  /** Takes all labels of this session and of earlier ones back. */
  readonly forget: () => Promise<void>
  /** Right predictions of the first `count` labels, those of the rows included, by folds; null: there are too few. */
  readonly score: (count?: number) => { readonly right: number; readonly labels: number } | null
  /** describeGain of the newest labels; null: there are too few */
  readonly gain: () => string | null
}

/** Labels between two scores. */
export const scoredEvery = 10

/** @param rows those that have a label teach the probe */
export const labelingSession = (
  rows: readonly RowToLabel[],
  classes: readonly string[],
  written: LabelsFile,
  { next, crossValidate }: LabelingLoop,
): LabelingSession => {
  const present = rows.flatMap(({ label }, row) => (label === null ? [] : [{ row, label: classes.indexOf(label) }]))
  const skipped = new Set<number>()
  let labels = written.labels
  const all = (): readonly ClassOfRow[] => [...present, ...labels.map(({ at, label }) => ({ row: at, label: classes.indexOf(label) }))]
  let asked = next(all(), skipped)
  const replace = async (changed: readonly WrittenLabel[]): Promise<void> => {
    await written.write(changed)
    labels = changed
    asked = next(all(), skipped)
  }
  return {
    row: () => asked,
    labels: () => labels,
    give: async (label) => (asked === null ? undefined : replace([...labels, { at: asked, label }])),
    undo: async () => (labels.length === 0 ? undefined : replace(labels.slice(0, -1))),
    skip: () => {
      if (asked === null) return
      skipped.add(asked)
      asked = next(all(), skipped)
    },
    forget: () => {
      skipped.clear()
      return replace([])
    },
    score: (count = present.length + labels.length) => {
      const right = crossValidate(all().slice(0, count))
      return right === null ? null : { right: right.filter(Boolean).length, labels: count }
    },
    gain: () => {
      const [given, right] = [all(), crossValidate(all())]
      const before = given.length < 2 * newestLabels ? null : crossValidate(given, given.length - newestLabels)
      return before === null || right === null ? null : describeGain(before, right)
    },
  }
}
