/** What tasks of next tokens share: a file of texts, evaluated on a second file or on a tenth that is held out, scored by loss and perplexity. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import type { TextScoring } from '../../metrics/score.js'
import type { Dataset } from '../../data/dataset.js'
import { holdOut, tenth } from '../../data/holdOut.js'
import { exampleStore } from '../../data/compactExamples.js'
import type { Task, TaskSource, TaskOptions } from '../task.js'

type Read = (file: string, options: TaskOptions) => Promise<Dataset>

const scoring: TextScoring = { taskType: 'causal', metrics: [], selectionMetric: 'loss' }

/** A kind with one name, whose files `read` reads. */
export const textSource = (name: string, help: string, flags: NonNullable<TaskSource['flags']>, read: Read): TaskSource => ({
  names: [name],
  help,
  recognizes: (task) => task === name,
  flags,
  load: async (options) => {
    const all = await read(fileOf(options), options)
    const { evalData } = options
    const parts =
      evalData === undefined
        ? { ...heldOutOf(all, options), heldOut: true }
        : { train: all, evaluation: await read(evalData, options), heldOut: false }
    return { name, ...parts, ...scoring, labelNames: null }
  },
  loadEvaluation: async (options) => ({ ...scoring, evaluation: await read(options.evalData ?? fileOf(options), options) }),
})

const fileOf = ({ task, data }: TaskOptions): string => {
  if (data === undefined) throw inputError('--data', `the file of texts (for --task ${task})`, 'none given')
  return data
}

const heldOutOf = (all: Dataset, { holdOutSeed }: TaskOptions): Pick<Task, 'train' | 'evaluation'> => {
  const { kept, held } = holdOut({ seed: holdOutSeed ?? 0, stratumOf: () => 0, heldOf: tenth })(all.examples)
  if (held.length === 0)
    throw inputError(all.source, 'at least two different texts, so that one can be held out (or --eval-data)', `${all.examples.length}`)
  return { train: { ...all, examples: kept }, evaluation: { ...all, examples: held.map(exampleStore()), skipped: [] } }
}
