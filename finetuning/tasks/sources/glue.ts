/** The tasks of GLUE as kinds of tasks: train.tsv and dev.tsv of the official folders, or another file in place of dev.tsv. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type InputError, inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { decimal, withSecond, type Dataset, type Example } from '../../data/dataset.js'
import { asEither } from '../caught.js'
import { glueFile, labelNamesOf, readGlue, type GlueSplit } from '../../data/glue.js'
import { glueOnHub, glueParquetFiles, isParquet, readGlueParquet } from '../../data/glueParquet.js'
import { GLUE_NAMES, GLUE_TASKS, isGlueName, type GlueName } from '../../data/glueTasks.js'
import { holdOut, labelStrata, tenth } from '../../data/holdOut.js'
import type { Evaluation, Scoring, Task, TaskSource, TaskOptions } from '../task.js'

const load = async (name: GlueName, options: TaskOptions): Promise<E.Either<InputError, Task>> => {
  const facts = { name, ...scoring(name), labelNames: labelNamesOf(name) }
  const train = pipe(await readSplit(name, 'train', options), E.chain(firstOf(options.maxTrainSamples)))
  if (options.holdOutTrain === true)
    return pipe(
      train,
      E.map((whole) => ({ ...facts, ...heldOut(name, whole), heldOut: true })),
    )
  const evaluation = await readDev(name, options)
  return pipe(
    E.Do,
    E.bind('train', () => train),
    E.bind('evaluation', () => evaluation),
    E.map((data) => ({ ...facts, ...data, heldOut: false })),
  )
}

/** The first examples alone, where so many are asked for. */
const firstOf =
  (asked: string | undefined) =>
  (train: Dataset): E.Either<InputError, Dataset> => {
    if (asked === undefined) return E.right(train)
    const count = decimal(asked)
    return count !== null && Number.isInteger(count) && count > 0
      ? E.right({ ...train, examples: train.examples.slice(0, count) })
      : E.left(inputError('--max-train-samples', 'a whole number of at least 1', quoted(asked)))
  }

/** A tenth of each class, the same in every run, and the rest. */
const heldOut = (name: GlueName, train: Dataset): { readonly train: Dataset; readonly evaluation: Dataset } => {
  const problem = GLUE_TASKS[name].labels === null ? 'regression' : 'classification'
  const split = holdOut<Example>({ seed: 0, stratumOf: labelStrata(problem, train.examples), heldOf: tenth })
  const { kept, held } = split(train.examples)
  return { train: { ...train, examples: kept }, evaluation: { ...train, examples: held, skipped: [] } }
}

const loadEvaluation = async (name: GlueName, options: TaskOptions): Promise<E.Either<InputError, Evaluation>> =>
  pipe(
    await readDev(name, options),
    E.map((evaluation) => ({ ...scoring(name), evaluation })),
  )

/** Of MNLI with the mismatched sentences behind the matched, where their file is there too. */
const readDev = async (name: GlueName, options: TaskOptions): Promise<E.Either<InputError, Dataset>> => {
  const dev = await readSplit(name, 'dev', options)
  const { second } = GLUE_TASKS[name]
  const { data, evalData } = options
  if (E.isLeft(dev) || second === undefined || evalData !== undefined || data === undefined) return dev
  const parquet = await asEither(async () => (['dev', 'second'] as const).map((split) => glueParquetFiles(name, split, data).length > 0))
  if (E.isLeft(parquet)) return parquet
  const [hasDev = false, hasSecond = false] = parquet.right
  if (!(hasDev ? hasSecond : E.isRight(glueFile(name, 'second', data)))) return dev
  return pipe(
    await readSplit(name, 'second', options),
    E.map((more) => withSecond(dev.right, second.name, more)),
  )
}

/** Of the official files, or of the hub's Parquet. */
const readSplit = async (name: GlueName, split: GlueSplit, { data, evalData }: TaskOptions): Promise<E.Either<InputError, Dataset>> => {
  if (split === 'dev' && evalData !== undefined)
    return isParquet(evalData) ? asEither(() => readGlueParquet(name, [evalData])) : readGlue(name, evalData)
  if (data === undefined)
    return E.left(inputError('--data', `the folder of GLUE's ${GLUE_TASKS[name].folder} (for --task ${name})`, 'none given'))
  const parts = await asEither(async () => glueParquetFiles(name, split, data))
  if (E.isLeft(parts)) return parts
  if (parts.right.length > 0) return asEither(() => readGlueParquet(name, parts.right))
  return pipe(
    glueFile(name, split, data),
    E.chain((file) => readGlue(name, file)),
  )
}

const scoring = (name: GlueName): Scoring => {
  const { labels, metrics, selectionMetric } = GLUE_TASKS[name]
  // GLUE's F1 is of class 1
  const positive = metrics.includes('f1') ? { positive: 1 } : {}
  return { taskType: labels === null ? 'regression' : 'classification', metrics, selectionMetric, ...positive }
}

/** What was recognized is one of the names. */
const nameOf = ({ task }: TaskOptions): GlueName => task as GlueName

export const glueSource: TaskSource = {
  names: GLUE_NAMES,
  help: 'a task of GLUE, from its official files',
  recognizes: isGlueName,
  flags: [
    { name: 'data', takes: 'folder', help: "folder of GLUE's official files or of the hub's Parquet, or hf://datasets/nyu-mll/glue" },
    { name: 'maxTrainSamples', takes: 'n', help: 'of GLUE: the first so many training examples alone' },
    { name: 'holdOutTrain', takes: '', help: 'of GLUE: evaluate on a tenth of the training examples, held out, instead of the dev file' },
  ],
  hub: (task) => glueOnHub(task as GlueName),
  load: (options) => load(nameOf(options), options),
  loadEvaluation: (options) => loadEvaluation(nameOf(options), options),
}
