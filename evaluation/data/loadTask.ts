/** A task by its name or file: what to train on, what to evaluate on, and how it is scored. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import type { MetricName, SelectionMetric } from '../metrics/score.js'
import type { Dataset, ProblemType } from './dataset.js'
import { looksLikeFile, readDelimited, type DelimitedOptions } from './delimited.js'
import { glueFile, readGlue } from './glue.js'
import { GLUE_NAMES, GLUE_TASKS, isGlueName, type GlueName } from './glueTasks.js'
import { holdOut, labelStrata, tenth } from './holdOut.js'
import { oneOf, quoted, type Problem } from './problem.js'
import { readSentiment } from './sentiment.js'

export type TaskOptions = {
  /** A task of GLUE (`cola`, …), `sentiment` (the embedded data), or a .tsv, .csv or .jsonl file. */
  readonly task: string
  /** GLUE only: the folder of its official files, or the parent of the official folders. */
  readonly data?: string
  /** A file to evaluate on, in the format of the task, in place of the dev file or of the hold-out. */
  readonly evalData?: string
  /** Files only: which tenth is held out if there is no `evalData`; 0 if not given. It is no run's seed, so runs compare. */
  readonly holdOutSeed?: number
} & DelimitedOptions

export type Scoring = {
  readonly problem: ProblemType
  readonly metrics: ReadonlyArray<MetricName>
  /** The metric of the best checkpoint, greater is better; `mean` is the unweighted mean of `metrics`. */
  readonly selectionMetric: SelectionMetric
}

export type Task = Scoring & {
  readonly name: string
  readonly train: Dataset
  readonly evaluation: Dataset
  readonly labelNames: ReadonlyArray<string> | null
  /** Whether `evaluation` was held out of the task's file for want of another. */
  readonly heldOut: boolean
}

/** Train and evaluation data of a task, or the first problem met. */
export const loadTask = (options: TaskOptions): E.Either<Problem, Task> => {
  const { task } = options
  if (isGlueName(task)) return loadGlue(task, options)
  if (task === 'sentiment') return loadSentiment(options)
  return looksLikeFile(task) ? loadFile(options) : E.left(unknownTask(task))
}

/**
 * The evaluation data alone, for a model already trained: GLUE's dev file, the embedded dev sentences, the file `evalData`,
 * or the whole of the file `task`. Of a file, give the training's `labelNames`.
 */
export const loadEvaluation = (options: TaskOptions): E.Either<Problem, Scoring & { readonly evaluation: Dataset }> => {
  const { task, evalData } = options
  if (isGlueName(task))
    return pipe(
      readGlueSplit(task, 'dev', options),
      E.map((evaluation) => ({ ...glueScoring(task), evaluation })),
    )
  if (task === 'sentiment') return loadSentiment(options)
  return looksLikeFile(task)
    ? pipe(
        readDelimited(evalData ?? task, options),
        E.map((evaluation) => ({ ...fileScoring(evaluation.labelNames), evaluation })),
      )
    : E.left(unknownTask(task))
}

const loadGlue = (name: GlueName, options: TaskOptions): E.Either<Problem, Task> =>
  pipe(
    E.Do,
    E.bind('train', () => readGlueSplit(name, 'train', options)),
    E.bind('evaluation', () => readGlueSplit(name, 'dev', options)),
    E.map((data) => ({ name, ...data, ...glueScoring(name), labelNames: data.train.labelNames, heldOut: false })),
  )

const readGlueSplit = (name: GlueName, split: 'train' | 'dev', { data, evalData }: TaskOptions): E.Either<Problem, Dataset> => {
  if (split === 'dev' && evalData !== undefined) return readGlue(name, evalData)
  return data === undefined
    ? E.left({ where: '--data', expected: `the folder of GLUE's ${GLUE_TASKS[name].folder} (for --task ${name})`, found: 'none given' })
    : pipe(
        glueFile(name, split, data),
        E.chain((file) => readGlue(name, file)),
      )
}

const loadSentiment = ({ evalData }: TaskOptions): E.Either<Problem, Task> =>
  evalData === undefined
    ? pipe(
        readSentiment(),
        E.map(({ train, dev }) => ({
          name: 'sentiment',
          train,
          evaluation: dev,
          ...SENTIMENT_SCORING,
          labelNames: train.labelNames,
          heldOut: false,
        })),
      )
    : E.left({ where: '--eval-data', expected: 'no file with --task sentiment, whose dev sentences are embedded', found: quoted(evalData) })

const loadFile = (options: TaskOptions): E.Either<Problem, Task> =>
  pipe(
    readDelimited(options.task, options),
    E.chain((all) =>
      pipe(
        options.evalData === undefined ? heldOutOf(all, options) : evaluationBeside(all, options.evalData, options),
        E.map((parts) => ({ name: options.task, ...parts, ...fileScoring(all.labelNames), labelNames: all.labelNames })),
      ),
    ),
  )

type Parts = Pick<Task, 'train' | 'evaluation' | 'heldOut'>

const heldOutOf = (all: Dataset, { holdOutSeed, problem }: TaskOptions): E.Either<Problem, Parts> => {
  const settings = { seed: holdOutSeed ?? 0, stratumOf: labelStrata(problem ?? 'classification', all.examples), heldOf: tenth }
  const { kept, held } = holdOut(settings)(all.examples)
  return held.length > 0
    ? E.right({ train: { ...all, examples: kept }, evaluation: { ...all, examples: held, skipped: [] }, heldOut: true })
    : E.left({
        where: all.source,
        expected: 'enough rows to hold a tenth of each class out (or --eval-data)',
        found: `${all.examples.length}`,
      })
}

const evaluationBeside = (train: Dataset, file: string, options: TaskOptions): E.Either<Problem, Parts> =>
  pipe(
    readDelimited(file, train.labelNames === null ? options : { ...options, labelNames: train.labelNames }),
    E.map((evaluation) => ({ train, evaluation, heldOut: false })),
  )

const glueScoring = (name: GlueName): Scoring => {
  const { labels, metrics, selectionMetric } = GLUE_TASKS[name]
  return { problem: labels === null ? 'regression' : 'classification', metrics, selectionMetric }
}

const SENTIMENT_SCORING: Scoring = { problem: 'classification', metrics: ['accuracy'], selectionMetric: 'accuracy' }

/** A file's scores are STS-B's; its classes count by accuracy, with F1 where there are two, and Matthews' coefficient. */
const fileScoring = (labelNames: ReadonlyArray<string> | null): Scoring => {
  if (labelNames === null) return { problem: 'regression', metrics: ['pearson', 'spearman'], selectionMetric: 'mean' }
  const metrics: ReadonlyArray<MetricName> = labelNames.length === 2 ? ['accuracy', 'f1', 'matthews'] : ['accuracy', 'matthews']
  return { problem: 'classification', metrics, selectionMetric: 'accuracy' }
}

const unknownTask = (task: string): Problem => ({
  where: '--task',
  expected: `${oneOf([...GLUE_NAMES, 'sentiment'])}, or a .tsv, .csv or .jsonl file`,
  found: quoted(task),
})
