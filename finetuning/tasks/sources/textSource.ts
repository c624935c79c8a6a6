/** What language modeling tasks share: a file of texts, and an evaluation on a second file or on a held-out tenth. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import type { Dataset } from '../../data/dataset.js'
import { heldOutShare, holdOut } from '../../data/holdOut.js'
import { exampleStore } from '../../data/compactExamples.js'
import type { TextTokenOptions } from '../../tokens/textTokens.js'
import { causalLM } from '../taskTypes/causalLM.js'
import { mixedTraining, readFiles } from './mixture.js'
import type { Scoring, Task, TaskSource, TaskOptions } from '../task.js'

const scoring: Scoring = { taskType: causalLM, metrics: [], selectionMetric: 'loss' }

type TextSource = Pick<TaskSource, 'help' | 'flags'> & {
  readonly name: string
  /** @throws InputError */
  readonly read: (file: string, options: TaskOptions) => Promise<Dataset>
  /** How the texts become tokens. @throws InputError */
  readonly textOptions: (options: TaskOptions) => TextTokenOptions
}

export const textSource = ({ name, read, textOptions, ...source }: TextSource): TaskSource => ({
  ...source,
  names: [name],
  recognizes: (task) => task === name,
  isOneFile: true,
  load: async (options) => {
    const text = textOptions(options) // first: a wrong option needs no reading
    const all = await readFiles(fileOf(options), options, read)
    const { evalData } = options
    const heldOf = heldOutShare(options)
    const parts =
      evalData === undefined
        ? { ...heldOutOf(all, options, heldOf), heldOut: true }
        : { train: mixedTraining(all, all.examples, options), evaluation: await read(evalData, options), heldOut: false }
    return { name, ...parts, ...scoring, labelNames: null, text }
  },
  loadEvaluation: async (options) => {
    const text = textOptions(options)
    const { evalData } = options
    const evaluation = await (evalData === undefined ? readFiles(fileOf(options), options, read) : read(evalData, options))
    return { ...scoring, evaluation, text }
  },
})

const fileOf = ({ task, data }: TaskOptions): string => {
  if (data === undefined) throw inputError('--data', `the file of texts (for --task ${task})`, 'none given')
  return data
}

const heldOutOf = (all: Dataset, options: TaskOptions, heldOf: (size: number) => number): Pick<Task, 'train' | 'evaluation'> => {
  const { kept, held } = holdOut({ seed: options.holdOutSeed ?? 0, stratumOf: () => 0, heldOf })(all.examples)
  if (held.length === 0)
    throw inputError(
      all.source,
      'at least two different texts, so that one can be held out (or --eval-data)',
      all.examples.length === 1 ? 'one' : `${all.examples.length} that are the same`,
    )
  const { files: _, ...whole } = all
  return { train: mixedTraining(all, kept, options), evaluation: { ...whole, examples: held.map(exampleStore()), skipped: [] } }
}
