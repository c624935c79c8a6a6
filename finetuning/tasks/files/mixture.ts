/** The files of a task: its own, and those that --mix-data adds, with weights. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { decimal, type Dataset } from '../../data/dataset.js'
import { drawMixture, joined, withDraws } from '../../data/mixture.js'
import type { TaskFlag, TaskOptions } from '../task.js'

export const mixtureFlags: readonly TaskFlag[] = [
  {
    name: 'mixData',
    placeholder: 'files',
    description: 'Further files of the same kind to train on, separated by commas',
  },
  {
    name: 'mixWeights',
    placeholder: 'weights',
    description: "Shares of an epoch's rows, one for each file, the task's own first, separated by commas: 3,1",
    defaultText: 'every row once',
  },
]

/** The files of --mix-data: a list, or a text with commas. */
export const mixedFiles = (given: TaskOptions['mixData'] = []): readonly string[] =>
  typeof given === 'string' ? given.split(',').map((name) => name.trim()) : given

/** Weights of the files; null: every row is read once. @throws InputError */
const weightsOf = ({ mixData, mixWeights }: TaskOptions): readonly number[] | null => {
  if (mixWeights === undefined) return null
  const files = 1 + mixedFiles(mixData).length
  const written = typeof mixWeights === 'string' ? mixWeights.split(',').map((weight) => weight.trim()) : mixWeights.map(String)
  const weights = written.map((weight) => decimal(weight) ?? NaN)
  if (mixData === undefined) throw inputError('--mix-weights', '--mix-data, whose files are weighed', 'none given')
  if (weights.length !== files || !weights.every((weight) => weight > 0))
    throw inputError('--mix-weights', `${files} numbers above 0, one for each file`, quoted(written.join(',')))
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
  const weights = weightsOf(options) // first: a wrong weight needs no reading
  const files = mixedFiles(options.mixData)
  if (files.some((file) => file === '')) throw inputError('--mix-data', 'names of files, separated by commas', 'an empty one')
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
  ...drawMixture(all, kept, weightsOf(options), options.holdOutSeed ?? 0),
})
