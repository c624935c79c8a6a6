/** What the tasks of a decoder share: a file of texts, and an evaluation on a second file or on a held-out tenth. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import type { Dataset, Example } from '../../data/dataset.js'
import { heldOutShare, holdOut, type HoldOutPart } from '../../data/holdOut.js'
import { exampleStore } from '../../data/compactExamples.js'
import { classColumn } from '../../data/labelColumn.js'
import { mixedTraining, readFiles } from '../files/mixture.js'
import type { LoadedTask, TaskSource, TaskOptions } from '../task.js'
import type { Scoring, TaskData } from '../taskType.js'

type TextSource = Pick<TaskSource, 'help' | 'flags'> & {
  readonly name: string
  /** @throws InputError */
  readonly read: (file: string, options: TaskOptions) => Promise<Dataset>
  readonly scoring: Scoring
  /** How the texts become tokens, and their loss. @throws InputError */
  readonly dataOptions: (options: TaskOptions) => Pick<TaskData, 'text' | 'preference'>
}

export const textSource = ({ name, read, scoring, dataOptions, ...source }: TextSource): TaskSource => ({
  ...source,
  names: [name],
  recognizes: (task) => task === name,
  isOneFile: true,
  load: async (options) => {
    const data = dataOptions(options) // first: a wrong option needs no reading
    const all = await readFiles(requireFile(options), options, read)
    const { evalData } = options
    const part = heldOutShare(options)
    const parts =
      evalData === undefined
        ? { ...splitHeldOut(all, options, part), heldOut: true }
        : { train: mixedTraining(all, all.examples, options), evaluation: await read(evalData, options), heldOut: false }
    return { name, ...parts, ...scoring, labelNames: null, ...data }
  },
  loadEvaluation: async (options) => {
    const data = dataOptions(options)
    const { evalData } = options
    const evaluation = await (evalData === undefined ? readFiles(requireFile(options), options, read) : read(evalData, options))
    return { ...scoring, evaluation, ...data }
  },
})

const requireFile = ({ task, data }: TaskOptions): string => {
  if (data === undefined) throw inputError(option('data'), words`the file of texts (for ${option('task')} ${task})`, 'none given')
  return data
}

const splitHeldOut = (all: Dataset, options: TaskOptions, part: HoldOutPart): Pick<LoadedTask, 'train' | 'evaluation'> => {
  const split = holdOut<Example>({ seed: options.holdOutSeed ?? 0, strata: classColumn.strata, ...part })
  const { kept, held } = split(all.examples)
  if (held.length === 0 && part.share > 0)
    throw inputError(
      all.source,
      words`at least two different texts, so that one can be held out (or ${option('evalData')})`,
      all.examples.length === 1 ? 'one' : `${all.examples.length} that are the same`,
    )
  const { files: _, ...whole } = all
  return { train: mixedTraining(all, kept, options), evaluation: { ...whole, examples: held.map(exampleStore()), skipped: [] } }
}
