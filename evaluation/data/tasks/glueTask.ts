/** The tasks of GLUE as kinds of tasks: train.tsv and dev.tsv of the official folders, or another file in place of dev.tsv. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type Mistake, mistake } from '../../../accelerated/files/mistake.js'
import type { Dataset } from '../dataset.js'
import { glueFile, readGlue, type GlueSplit } from '../glue.js'
import { GLUE_NAMES, GLUE_TASKS, isGlueName, type GlueName } from '../glueTasks.js'
import type { Evaluation, Scoring, Task, TaskKind, TaskOptions } from '../task.js'

const load = (name: GlueName, options: TaskOptions): E.Either<Mistake, Task> =>
  pipe(
    E.Do,
    E.bind('train', () => readSplit(name, 'train', options)),
    E.bind('evaluation', () => readSplit(name, 'dev', options)),
    E.map((data) => ({ name, ...data, ...scoring(name), labelNames: data.train.labelNames, heldOut: false })),
  )

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
  flags: [{ name: 'data', takes: 'folder', help: "folder of GLUE's official files" }],
  load: (options) => load(nameOf(options), options),
  loadEvaluation: (options) => loadEvaluation(nameOf(options), options),
}
