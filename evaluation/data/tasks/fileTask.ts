/** A file of the user's own as a task: evaluated on a second file, or on a tenth of itself that is held out. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type Mistake, mistake } from '../../../accelerated/files/mistake.js'
import type { Dataset } from '../dataset.js'
import { looksLikeFile, readDelimited } from '../delimited.js'
import { holdOut, labelStrata, tenth } from '../holdOut.js'
import type { Evaluation, Scoring, Task, TaskKind, TaskOptions } from '../task.js'

const load = (options: TaskOptions): E.Either<Mistake, Task> =>
  pipe(
    readDelimited(options.task, options),
    E.chain((all) =>
      pipe(
        options.evalData === undefined ? heldOutOf(all, options) : evaluationBeside(all, options.evalData, options),
        E.map((parts) => ({ name: options.task, ...parts, ...scoring(all.labelNames, options), labelNames: all.labelNames })),
      ),
    ),
  )

const loadEvaluation = (options: TaskOptions): E.Either<Mistake, Evaluation> =>
  pipe(
    readDelimited(options.evalData ?? options.task, options),
    E.map((evaluation) => ({ ...scoring(evaluation.labelNames, options), evaluation, sorted: options.labelNames === undefined })),
  )

type Parts = Pick<Task, 'train' | 'evaluation' | 'heldOut'>

const heldOutOf = (all: Dataset, { holdOutSeed, problem }: TaskOptions): E.Either<Mistake, Parts> => {
  const settings = { seed: holdOutSeed ?? 0, stratumOf: labelStrata(problem ?? 'classification', all.examples), heldOf: tenth }
  const { kept, held } = holdOut(settings)(all.examples)
  return held.length > 0
    ? E.right({ train: { ...all, examples: kept }, evaluation: { ...all, examples: held, skipped: [] }, heldOut: true })
    : E.left(mistake(all.source, 'enough rows to hold a tenth of each class out (or --eval-data)', `${all.examples.length}`))
}

const evaluationBeside = (train: Dataset, file: string, options: TaskOptions): E.Either<Mistake, Parts> =>
  pipe(
    readDelimited(file, train.labelNames === null ? options : { ...options, labelNames: train.labelNames }),
    E.map((evaluation) => ({ train, evaluation, heldOut: false })),
  )

/** A file's scores are STS-B's; its classes count by accuracy and Matthews' coefficient. */
const scoring = (labelNames: ReadonlyArray<string> | null, { problem }: TaskOptions): Scoring => {
  if (problem === 'multi-label') return { problem, metrics: [], selectionMetric: 'microF1' }
  if (labelNames === null) return { problem: 'regression', metrics: ['pearson', 'spearman'], selectionMetric: 'mean' }
  return { problem: 'classification', metrics: ['accuracy', 'matthews'], selectionMetric: 'accuracy' }
}

export const fileTask: TaskKind = {
  names: [],
  help: 'a .tsv, .csv or .jsonl file',
  recognises: looksLikeFile,
  flags: [
    { name: 'text', takes: 'column', help: 'column of the text in a file (default: text)' },
    { name: 'textPair', takes: 'column', help: 'column of the second text, where there are pairs' },
    { name: 'label', takes: 'column', help: 'column of the label (default: label)' },
    {
      name: 'problem',
      takes: 'kind',
      help: 'classification, regression or multi-label (labels of a row with | between them, or a list in JSON), for a file (default: classification)',
    },
  ],
  load,
  loadEvaluation,
}
