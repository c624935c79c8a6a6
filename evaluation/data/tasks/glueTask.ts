/** The tasks of GLUE as kinds of tasks: train.tsv and dev.tsv of the official folders, or another file in place of dev.tsv. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type Mistake, mistake, quoted } from '../../../accelerated/files/mistake.js'
import { decimal, type Dataset, type Example } from '../dataset.js'
import { glueFile, readGlue, type GlueSplit } from '../glue.js'
import { GLUE_NAMES, GLUE_TASKS, isGlueName, type GlueName } from '../glueTasks.js'
import { holdOut, labelStrata, tenth } from '../holdOut.js'
import type { Evaluation, Scoring, Task, TaskKind, TaskOptions } from '../task.js'

const load = (name: GlueName, options: TaskOptions): E.Either<Mistake, Task> =>
  pipe(
    readSplit(name, 'train', options),
    E.chain(firstOf(options.maxTrainExamples)),
    E.chain((train): E.Either<Mistake, Task> => {
      const facts = { name, ...scoring(name), labelNames: train.labelNames }
      if (options.holdOutTrain === true) return E.right({ ...facts, ...heldOut(name, train), heldOut: true })
      return pipe(
        readSplit(name, 'dev', options),
        E.map((evaluation) => ({ ...facts, train, evaluation, heldOut: false })),
      )
    }),
  )

/** The first examples alone, where so many are asked for. */
const firstOf =
  (asked: string | undefined) =>
  (train: Dataset): E.Either<Mistake, Dataset> => {
    if (asked === undefined) return E.right(train)
    const count = decimal(asked)
    return count !== null && Number.isInteger(count) && count > 0
      ? E.right({ ...train, examples: train.examples.slice(0, count) })
      : E.left(mistake('--max-train-examples', 'a whole number of at least 1', quoted(asked)))
  }

/** A tenth of each class, the same in every run, and the rest. */
const heldOut = (name: GlueName, train: Dataset): { readonly train: Dataset; readonly evaluation: Dataset } => {
  const problem = GLUE_TASKS[name].labels === null ? 'regression' : 'classification'
  const split = holdOut<Example>({ seed: 0, stratumOf: labelStrata(problem, train.examples), heldOf: tenth })
  const { kept, held } = split(train.examples)
  return { train: { ...train, examples: kept }, evaluation: { ...train, examples: held, skipped: [] } }
}

const loadEvaluation = (name: GlueName, options: TaskOptions): E.Either<Mistake, Evaluation> =>
  pipe(
    readSplit(name, 'dev', options),
    E.map((evaluation) => ({ ...scoring(name), evaluation })),
  )

const readSplit = (name: GlueName, split: GlueSplit, { data, evalData }: TaskOptions): E.Either<Mistake, Dataset> => {
  if (split === 'dev' && evalData !== undefined) return readGlue(name, evalData)
  return data === undefined
    ? E.left(mistake('--data', `the folder of GLUE's ${GLUE_TASKS[name].folder} (for --task ${name})`, 'none given'))
    : pipe(
        glueFile(name, split, data),
        E.chain((file) => readGlue(name, file)),
      )
}

const scoring = (name: GlueName): Scoring => {
  const { labels, metrics, selectionMetric } = GLUE_TASKS[name]
  // GLUE's F1 is of class 1
  const positive = metrics.includes('f1') ? { positive: 1 } : {}
  return { problem: labels === null ? 'regression' : 'classification', metrics, selectionMetric, ...positive }
}

/** What was recognised is one of the names. */
const nameOf = ({ task }: TaskOptions): GlueName => task as GlueName

export const glueTask: TaskKind = {
  names: GLUE_NAMES,
  help: 'a task of GLUE, from its official files',
  recognises: isGlueName,
  flags: [
    { name: 'data', takes: 'folder', help: "folder of GLUE's official files" },
    { name: 'maxTrainExamples', takes: 'n', help: 'of GLUE: the first so many training examples alone' },
    { name: 'holdOutTrain', takes: '', help: 'of GLUE: evaluate on a tenth of the training examples, held out, instead of the dev file' },
  ],
  load: (options) => load(nameOf(options), options),
  loadEvaluation: (options) => loadEvaluation(nameOf(options), options),
}
