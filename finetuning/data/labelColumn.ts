/** How the label column of a file is read: one class per row, any number of classes, or a number. */
import { inputError } from '../../accelerated/errors/inputError.js'
import type { StoredExample } from './compactExamples.js'
import { type Example, atRow } from './dataset.js'
import {
  classIndex,
  findClasses,
  findSetClasses,
  foldLabel,
  labelSeparator,
  labelsIn,
  parseScore,
  type Classes,
  type LabelForms,
} from './labels.js'
import { gatherShares, mostProbable, mostSoftClasses, softLabelReader } from './softLabels.js'

export type LabelColumn = {
  /** separates the labels of one cell, which may then be empty; absent: a cell has exactly one label */
  readonly separator?: string
  /** whether labels are classes, whose names a file may hold apart */
  readonly named?: true
  /** whether a label may be a JSON object of numbers by class (softLabels.ts) */
  readonly soft?: true
  /** @param labelNames the classes of the training data; undefined: those that occur in the file */
  readonly open: (file: string, labelNames: readonly string[] | undefined, forms?: LabelForms) => LabelReader
  /** The stratum of each example, so that a hold-out keeps the proportions of labels. @param share what is held out of each stratum */
  readonly strata: (examples: readonly Example[], share: number) => (example: Example, index: number) => number
}

export type LabelReader = {
  /** The label of a row, from its text without blanks at the ends. @throws InputError */
  readonly read: (written: string, row: number) => Pick<Example, 'label' | 'labels' | 'shares'>
  /** After the last row: sets class indices, and returns the classes in order (null: there are none). @throws InputError */
  readonly finish: (examples: readonly StoredExample[]) => readonly string[] | null
  /** After `finish`: labels that are read as one class. */
  readonly merged?: () => readonly (readonly string[])[]
  /** After `finish`: the spellings of each class that has several, the class's name first. */
  readonly spellings?: () => readonly (readonly string[])[]
}

/** One class per row, or the probability of each. */
export const classColumn: LabelColumn = {
  named: true,
  soft: true,
  open: (file, labelNames, forms = {}) => {
    const classes = classReader(file, labelNames, findClasses, forms)
    const soft = softLabelReader(file, forms.areLogits === true)
    const readSoft = (name: string, row: number): number => {
      const place = classes.read(name, row)
      if (place >= mostSoftClasses)
        throw inputError(atRow(file, row), `at most ${mostSoftClasses} classes in a file of probabilities`, 'more')
      return place
    }
    let merged: readonly (readonly string[])[] = []
    return {
      read: (written, row) => {
        const shares = forms.asText === true ? null : soft.read(written, row)
        if (shares === null) return { label: classes.read(written, row) }
        const byPlace = gatherShares(shares.map(([name, share]) => [readSoft(name, row), share]))
        return { label: mostProbable(byPlace), shares: byPlace }
      },
      finish: (examples) => {
        if (labelNames === undefined) soft.finish() // scores read the most probable class, of either kind
        const finished = classes.finish()
        const { names, indexAt } = finished
        if (indexAt !== null)
          for (const example of examples) {
            if (example.shares === undefined) example.label = indexAt(example.label)
            else {
              example.shares = gatherShares(example.shares.map(([place, share]) => [indexAt(place), share]))
              example.label = mostProbable(example.shares)
            }
          }
        merged = finished.merged
        return names
      },
      merged: () => merged,
      spellings: classes.spellings,
    }
  },
  strata:
    () =>
    ({ label }) =>
      label,
}

/** Any number of classes per row. */
export const labelSetColumn: LabelColumn = {
  separator: labelSeparator,
  named: true,
  open: (file, labelNames, forms) => {
    const classes = classReader(file, labelNames, findSetClasses, { ...forms, asText: true })
    return {
      read: (written, row) => ({ label: 0, labels: [...new Set(labelsIn(written).map((part) => classes.read(part, row)))] }),
      finish: (examples) => {
        const { names, indexAt } = classes.finish()
        if (indexAt !== null) for (const example of examples) example.labels = (example.labels ?? []).map(indexAt)
        return names
      },
      spellings: classes.spellings,
    }
  },
  strata: () => () => 0, // a combination of labels may occur only once
}

/** A number per row. */
export const scoreColumn: LabelColumn = {
  open: (file) => ({
    read: (written, row) => ({ label: parseScore(written, () => atRow(file, row)) }),
    finish: () => null,
  }),
  /** the part of the sorted scores that an example is in */
  strata: (examples, share) => {
    const parts = partsFor(Math.min(share, 1 - share) * examples.length)
    const order = examples.map((_, index) => index).sort((i, j) => (examples[i]?.label ?? 0) - (examples[j]?.label ?? 0) || i - j)
    const partIndices = new Map(order.map((index, rank) => [index, Math.floor((parts * rank) / examples.length)]))
    return (_, index) => partIndices.get(index) ?? 0
  },
}

/** The most parts, at most ten, that hold out `count` examples together. Each holds out at least one, and rounding changes a tenth at most. */
const partsFor = (count: number): number =>
  [10, 9, 8, 7, 6, 5, 4, 3, 2].find((parts) => count >= parts && Math.abs(count - parts * Math.round(count / parts)) <= count / 10) ?? 1

/** Half of a character, as JSON can write it. UTF-8 cannot: all of them would have one name in the run's files. */
const loneSurrogate = /\p{Surrogate}/u

/** Reads class names. Without `labelNames` a label is its place among those met, until `finish` has seen all of them and sorts them. */
const classReader = (
  file: string,
  labelNames: readonly string[] | undefined,
  sorted: (file: string, firstRows: ReadonlyMap<string, number>, asText?: boolean) => Classes,
  { asText = false, mergesCase = false }: LabelForms = {},
) => {
  const knownIndex = labelNames === undefined ? null : classIndex(labelNames, { asText, mergesCase })
  const firstRows = new Map<string, number>() // the row in which each label occurs first
  const places = new Map<string, number>()
  const spelled = spellingCounts()
  return {
    read: (written: string, row: number): number => {
      if (knownIndex !== null) return knownIndex(written, () => atRow(file, row))
      const key = mergesCase ? foldLabel(written) : written
      if (mergesCase) spelled.count(key, written)
      const place = places.get(key)
      if (place !== undefined) return place
      if (loneSurrogate.test(written))
        throw inputError(atRow(file, row), 'a label in Unicode', `half of a character (${JSON.stringify(written)})`)
      firstRows.set(key, row)
      places.set(key, places.size)
      return places.size - 1
    },
    finish: (): Pick<Classes, 'names' | 'merged'> & { readonly indexAt: ((place: number) => number) | null } => {
      if (labelNames !== undefined) return { names: labelNames, indexAt: null, merged: [] }
      const findName = (key: string): string => spelled.names(key)[0] ?? key
      const { names, indexOf, merged } = sorted(file, new Map(Array.from(firstRows, ([key, row]) => [findName(key), row])), asText)
      const indices = [...places.keys()].map((key) => indexOf.get(findName(key)) ?? NaN)
      return { names, indexAt: (place) => indices[place] ?? NaN, merged }
    },
    spellings: () => [...places.keys()].map(spelled.names).filter(({ length }) => length > 1),
  }
}

const spellingCounts = () => {
  const counts = new Map<string, Map<string, number>>()
  return {
    count: (key: string, written: string): void => {
      const spellings = counts.get(key) ?? new Map<string, number>()
      counts.set(key, spellings.set(written, (spellings.get(written) ?? 0) + 1))
    },
    /** The most frequent spelling first; of equals the first in the file. */
    names: (key: string): readonly string[] => [...(counts.get(key) ?? [])].sort(([, m], [, n]) => n - m).map(([written]) => written),
  }
}
