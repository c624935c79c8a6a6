/** The files of a task: its own, and those that --mix-data adds, with weights. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { decimal, type Dataset, type Example, type FileRows } from '../../data/dataset.js'
import type { TaskFlag, TaskOptions } from '../task.js'
import { permutation } from '../../../accelerated/parameters/random.js'

export const mixtureFlags: readonly TaskFlag[] = [
  {
    name: 'mixData',
    placeholder: 'files',
    description: 'Additional training files with the same columns, separated by commas',
  },
  {
    name: 'mixWeights',
    placeholder: 'weights',
    description: 'Share of each file in an epoch, the --task file first, separated by commas: 3,1',
    defaultText: 'every row once',
  },
]

/** The files of --mix-data: a list, or a text with commas. */
export const mixedFiles = (given: TaskOptions['mixData'] = []): readonly string[] =>
  typeof given === 'string' ? given.split(',').map((name) => name.trim()) : given

/** Weights of the files; null: every row is read once. @throws InputError */
const parseMixWeights = ({ mixData, mixWeights }: TaskOptions): readonly number[] | null => {
  if (mixWeights === undefined) return null
  const files = 1 + mixedFiles(mixData).length
  const written = typeof mixWeights === 'string' ? mixWeights.split(',').map((weight) => weight.trim()) : mixWeights.map(String)
  const weights = written.map((weight) => decimal(weight) ?? NaN)
  if (mixData === undefined) throw inputError(option('mixWeights'), words`${option('mixData')}, whose files are weighed`, 'none given')
  if (weights.length !== files || !weights.every((weight) => weight > 0))
    throw inputError(option('mixWeights'), `${files} numbers above 0, one for each file`, quoted(written.join(',')))
  return weights
}

/**
 * The rows of the task's file, then those of the others, in the classes of the first.
 * @throws InputError that names the file
 */
export const readFiles = async <O extends TaskOptions>(
  first: string,
  options: O,
  read: (file: string, options: O) => Promise<Dataset>,
): Promise<Dataset> => {
  const weights = parseMixWeights(options) // first: a wrong weight needs no reading
  const files = mixedFiles(options.mixData)
  if (files.some((file) => file === '')) throw inputError(option('mixData'), 'names of files, separated by commas', 'an empty one')
  const own = await read(first, options)
  if (files.length === 0) return own
  const others: Dataset[] = []
  for (const file of files)
    others.push(await read(file, own.labelNames === null ? options : { ...options, labelNames: options.labelNames ?? own.labelNames }))
  return withDraws(joined([own, ...others]), weights)
}

/** The training rows of an epoch, of those that are not held out. The draw does not depend on the run's seed, so that runs compare. */
export const mixedTraining = (all: Dataset, kept: Dataset['examples'], options: TaskOptions): Dataset => ({
  ...all,
  ...drawMixture(all, kept, parseMixWeights(options), options.holdOutSeed ?? 0),
})

// Several files as one dataset, and how many rows of each an epoch trains on.
/** The rows of several files, one file after another. */
export const joined = (sets: readonly Dataset[]): Dataset => {
  const [notes, warnings] = [sets.flatMap((set) => set.notes ?? []), sets.flatMap((set) => set.warnings ?? [])]
  const mergedLabels = sets.flatMap((set) => set.mergedLabels ?? [])
  return {
    source: sets.map(({ source }) => source).join(' and '),
    examples: sets.flatMap(({ examples }) => examples),
    labelNames: sets[0]?.labelNames ?? null,
    skipped: sets.flatMap(({ skipped }) => skipped),
    ...(notes.length === 0 ? {} : { notes }),
    ...(warnings.length === 0 ? {} : { warnings }),
    ...(mergedLabels.length === 0 ? {} : { mergedLabels }),
    files: sets.map(({ source, examples }) => ({ source, rows: examples.length, drawn: examples.length })),
  }
}

/**
 * Rows of each file in an epoch that is as long as the files together: total · weight / Σ weights, and at least 1.
 * They are rounded so that they add up: the largest remainder is rounded up first.
 */
export const rowsDrawn = (rows: readonly number[], weights: readonly number[]): readonly number[] => {
  const total = rows.reduce((sum, n) => sum + n, 0)
  const weight = weights.reduce((sum, w) => sum + w, 0)
  const exact = weights.map((w) => (total * w) / weight)
  const missing = total - exact.reduce((sum, x) => sum + Math.floor(x), 0)
  const order = exact.map((_, i) => i).sort((a, b) => ((exact[b] ?? 0) % 1) - ((exact[a] ?? 0) % 1) || a - b)
  const up = new Set(order.slice(0, missing))
  return exact.map((x, i) => Math.max(1, Math.floor(x) + (up.has(i) ? 1 : 0)))
}

/** The dataset with the rows that an epoch would draw, all rows given. @param weights null: every row once */
export const withDraws = (set: Dataset, weights: readonly number[] | null): Dataset => {
  if (set.files === undefined || weights === null) return set
  const drawn = rowsDrawn(
    set.files.map(({ rows }) => rows),
    weights,
  )
  return { ...set, files: set.files.map((file, i) => ({ ...file, drawn: drawn[i] ?? 0 })) }
}

/**
 * The rows of an epoch. A file with fewer rows than its share is repeated whole; the rest is chosen at random without repetition.
 * @param all rows of the files in order @param kept some of them, in the same order @param weights null: every row once
 */
export const drawMixture = (
  all: Dataset,
  kept: readonly Example[],
  weights: readonly number[] | null,
  seed: number,
): Pick<Dataset, 'examples' | 'files' | 'notes'> => {
  const { files, notes } = all
  if (files === undefined) return { examples: kept, ...(notes === undefined ? {} : { notes }) }
  const parts = groupByFile(all.examples, files, kept)
  const present = parts.flatMap((part, i) => (part.length === 0 ? [] : [i]))
  const of = <T>(list: readonly T[]): readonly T[] => present.map((i) => list[i] as T)
  const counts = of(parts).map(({ length }) => length)
  const drawn = weights === null ? counts : rowsDrawn(counts, of(weights))
  const found = of(files).map(({ source }, i): FileRows => ({ source, rows: counts[i] ?? 0, drawn: drawn[i] ?? 0 }))
  return {
    examples: of(parts).flatMap((part, i) => drawRows(part, drawn[i] ?? 0, seed, present[i] ?? 0)),
    files: found,
    notes: [...(notes ?? []), ...(weights === null ? [] : [mixtureNote(found)])],
  }
}

const mixtureNote = (files: readonly FileRows[]): string =>
  `each epoch draws ${files.map(({ source, rows, drawn }) => `${counted(drawn)} rows from the ${counted(rows)} of ${source}`).join(', ')}`

const counted = (n: number): string => n.toLocaleString('en-US')

/** `kept` has examples of `all` in their order. */
const groupByFile = (all: readonly Example[], files: readonly FileRows[], kept: readonly Example[]): readonly (readonly Example[])[] => {
  let [at, next] = [0, 0]
  return files.map(({ rows }) => {
    const part: Example[] = []
    for (const end = at + rows; at < end; at++) {
      const example = kept[next]
      if (example === undefined || example !== all[at]) continue
      part.push(example)
      next++
    }
    return part
  })
}

const drawRows = (part: readonly Example[], count: number, seed: number, file: number): readonly Example[] => {
  const rest = count % part.length
  const copies = Array.from({ length: Math.floor(count / part.length) }, () => part).flat()
  if (rest === 0) return copies
  const chosen = permutation(seed, 'mixture', file, part.length).slice(0, rest).sort()
  return [...copies, ...Array.from(chosen, (i) => part[i] as Example)]
}
