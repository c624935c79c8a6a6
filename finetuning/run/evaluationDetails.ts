/**
 * evaluation.json of a run: scores by class, the confusion matrix, and the worst errors with their texts, of the checkpoint in adapter/.
 *
 * The texts are the user's data. They are in this file of the run's folder and nowhere else: not in the model card, and not in adapter/.
 */
import { z } from 'zod'
import { readJson } from '../../accelerated/storage/json.js'
import { joinPath } from '../../accelerated/storage/paths.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { exampleStore } from '../data/compactExamples.js'
import type { Example } from '../data/index.js'
import type { EvaluationError, EvaluationReport, TypedTask } from '../tasks/taskType.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'

export const detailsFile = 'evaluation.json'

/** Maximum number of errors, and of characters of each of their texts. */
export const [errorLimit, textLimit] = [50, 300]
/** Maximum number of evaluation texts that a run remembers: their memory is bounded. */
const rememberedTexts = 50_000

/** One of an example's texts may be cut, at `textLimit` characters. */
export type ErrorText = Omit<EvaluationError, 'index'> & {
  /** row in the evaluation file, or the example's number */
  readonly row: number
  /** absent if the evaluation set is too large to remember its texts */
  readonly text?: string
  readonly textPair?: string
  /** token classification: where each word of `text` begins and ends, one after another; label and prediction have a tag for each */
  readonly words?: readonly number[]
}

export type EvaluationDetails = Pick<EvaluationReport, 'byClass' | 'confusion'> & {
  /** the evaluated checkpoint */
  readonly step: number
  readonly errors: readonly ErrorText[]
}

/** The words before the cut. */
const cutWords = (words: ArrayLike<number>): readonly number[] => {
  const beyond = Array.from(words).findIndex((at) => at >= textLimit)
  return Array.from(words).slice(0, beyond < 0 ? words.length : beyond - (beyond % 2))
}

const cut = (text: string): string => (text.length > textLimit ? `${text.slice(0, textLimit - 1)}…` : text)

/**
 * The details of an evaluation's answers; null where there are neither classes nor errors. It remembers the beginnings of the evaluation texts, so
 * call it before the examples are drained.
 */
export const detailsFrom = <E extends TrainingExample, O>(
  { report, worstErrors }: Pick<TypedTask<E, O>, 'report' | 'worstErrors'>,
  examples: readonly Example[],
): ((answers: readonly O[]) => Omit<EvaluationDetails, 'step'> | null) => {
  const store = exampleStore()
  const remembered =
    worstErrors === undefined || examples.length > rememberedTexts
      ? []
      : examples.map(({ text, textPair, words, label, row }) =>
          store({
            ...{ text: cut(text), label, row },
            ...(textPair === undefined ? {} : { textPair: cut(textPair) }),
            ...(words === undefined ? {} : { words: cutWords(words) }),
          }),
        )
  return (answers) => {
    const { byClass, confusion } = report(answers)
    const errors = (worstErrors?.(answers, errorLimit) ?? []).map(({ index, ...error }): ErrorText => {
      const { text, textPair, words, row = index } = remembered[index] ?? {}
      return {
        ...{ row, ...error },
        ...(text === undefined ? {} : { text }),
        ...(textPair === undefined ? {} : { textPair }),
        ...(words === undefined ? {} : { words: Array.from(words) }),
      }
    })
    return byClass === null && errors.length === 0 ? null : { byClass, confusion, errors }
  }
}

const text = z.string().max(10_000)
const share = z.number().nullable()
const schema = z.object({
  step: z.int().min(0),
  byClass: z
    .array(z.object({ label: text, precision: share, recall: share, f1: share, examples: z.int().min(0) }))
    .max(1000)
    .nullable(),
  confusion: z
    .array(z.array(z.int().min(0)).max(1000))
    .max(1000)
    .nullable(),
  errors: z
    .array(
      z.object({
        ...{ row: z.number(), label: text, predicted: text, loss: z.number(), labelIssue: z.boolean().optional() },
        ...{
          text: text.optional(),
          textPair: text.optional(),
          words: z
            .array(z.int().min(0))
            .max(2 * textLimit)
            .optional(),
        },
      }),
    )
    .max(1000),
})

/** The maximum bytes of the file: a confusion matrix of a hundred classes needs 100 kB. */
const detailsLimit = 8_000_000

export const writeDetails = (output: string, details: EvaluationDetails, storage: Storage = nodeFiles): Promise<void> =>
  storage.write(joinPath(output, detailsFile), `${JSON.stringify(details)}\n`)

/** evaluation.json of a run; null if it has none. @throws InputError if the file is invalid */
export const readDetails = async (output: string, storage: Storage = nodeFiles): Promise<EvaluationDetails | null> => {
  return (await readJson(
    output,
    detailsFile,
    schema,
    'the evaluation of a run',
    detailsLimit,
    storage,
  )) as object as EvaluationDetails | null
}
