/** The embedded sentences as a task. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type InputError, inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { readSentiment } from '../../data/sentiment.js'
import type { Task, TaskSource, TaskOptions } from '../task.js'

const load = ({ evalData }: TaskOptions): E.Either<InputError, Task> =>
  evalData === undefined
    ? pipe(
        readSentiment(),
        E.map(({ train, dev }) => ({
          name: 'sentiment',
          train,
          evaluation: dev,
          taskType: 'classification',
          metrics: ['accuracy'],
          selectionMetric: 'accuracy',
          labelNames: train.labelNames,
          heldOut: false,
        })),
      )
    : E.left(inputError('--eval-data', 'no file with --task sentiment, whose dev sentences are embedded', quoted(evalData)))

export const sentimentSource: TaskSource = {
  names: ['sentiment'],
  help: '3,000 sentences of reviews, which are embedded',
  recognizes: (task) => task === 'sentiment',
  load,
  loadEvaluation: load,
}
