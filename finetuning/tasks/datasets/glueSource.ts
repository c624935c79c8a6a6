/** The tasks of GLUE, from train.tsv and dev.tsv of the official folders or the hub's Parquet files. `evalData` replaces dev.tsv. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { decimal, withSecond, type Dataset, type Example } from '../../data/dataset.js'
import { findGlueFile, glueFile, glueLabelNames, readGlue, type GlueSplit } from '../../data/glue.js'
import { glueOnHub, glueParquetFiles, isParquet, readGlueParquet } from '../../data/glueParquet.js'
import { GLUE_NAMES, GLUE_TASKS, isGlueName, type GlueName } from '../../data/glueTasks.js'
import { holdOut, tenth } from '../../data/holdOut.js'
import { classColumn, scoreColumn } from '../../data/labelColumn.js'
import { regression } from '../regression/index.js'
import { singleLabel } from '../classification/index.js'
import { gluePresets } from './glueRecipe.js'
import type { Evaluation, Scoring, LoadedTask, TaskSource, TaskOptions } from '../task.js'

const load = async (name: GlueName, options: TaskOptions): Promise<LoadedTask> => {
  const facts = { name, ...scoring(name), labelNames: glueLabelNames(name) }
  const train = firstExamples(await readSplit(name, 'train', options), options.maxTrainSamples)
  if (options.holdOutTrain === true) return { ...facts, ...splitHeldOut(name, train), heldOut: true }
  return { ...facts, train, evaluation: await readDev(name, options), heldOut: false }
}

/** The first `count` examples; all of them if `count` is undefined. @throws InputError */
const firstExamples = (train: Dataset, count: number | string | undefined): Dataset => {
  if (count === undefined) return train
  const number = decimal(String(count))
  if (number === null || !Number.isInteger(number) || number <= 0)
    throw inputError(option('maxTrainSamples'), 'a whole number of at least 1', quoted(String(count)))
  return { ...train, examples: train.examples.slice(0, number) }
}

/** A tenth of each class, the same in every run, and the rest. */
const splitHeldOut = (name: GlueName, train: Dataset): { readonly train: Dataset; readonly evaluation: Dataset } => {
  const { strata } = GLUE_TASKS[name].labels === null ? scoreColumn : classColumn
  const split = holdOut<Example>({ seed: 0, strata, ...tenth })
  const { kept, held } = split(train.examples)
  return { train: { ...train, examples: kept }, evaluation: { ...train, examples: held, skipped: [] } }
}

const loadEvaluation = async (name: GlueName, options: TaskOptions): Promise<Evaluation> => ({
  ...scoring(name),
  evaluation: await readDev(name, options),
})

/** The dev set. For MNLI the mismatched sentences follow the matched ones, if their file is there. */
const readDev = async (name: GlueName, options: TaskOptions): Promise<Dataset> => {
  const dev = await readSplit(name, 'dev', options)
  const { second } = GLUE_TASKS[name]
  const { data, evalData } = options
  if (second === undefined || evalData !== undefined || data === undefined) return dev
  const [isParquetDev, isParquetSecond] = (['dev', 'second'] as const).map((split) => glueParquetFiles(name, split, data).length > 0)
  const hasSecond = isParquetDev === true ? isParquetSecond === true : findGlueFile(name, 'second', data) !== null
  return hasSecond ? withSecond(dev, second.name, await readSplit(name, 'second', options)) : dev
}

/** Reads the official files, or the hub's Parquet files. @throws InputError */
const readSplit = async (name: GlueName, split: GlueSplit, { data, evalData }: TaskOptions): Promise<Dataset> => {
  if (split === 'dev' && evalData !== undefined) return isParquet(evalData) ? readGlueParquet(name, [evalData]) : readGlue(name, evalData)
  if (data === undefined)
    throw inputError(option('data'), words`the folder of GLUE's ${GLUE_TASKS[name].folder} (for ${option('task')} ${name})`, 'none given')
  const parts = glueParquetFiles(name, split, data)
  return parts.length > 0 ? readGlueParquet(name, parts) : readGlue(name, glueFile(name, split, data))
}

const scoring = (name: GlueName): Scoring => {
  const { labels, metrics, selectionMetric } = GLUE_TASKS[name]
  // GLUE's F1 is of class 1
  const positive = metrics.includes('f1') ? { positive: 1 } : {}
  return { taskType: labels === null ? regression : singleLabel, metrics, selectionMetric, ...positive }
}

/** The task's name: `recognizes` has checked that it is one of the names. */
const toGlueName = ({ task }: TaskOptions): GlueName => task as GlueName

export const glueSource: TaskSource = {
  names: GLUE_NAMES,
  help: 'a task of GLUE, from its official files',
  recognizes: isGlueName,
  flags: [
    {
      name: 'data',
      placeholder: 'folder|file',
      description: "GLUE: folder of the official files or of the hub's Parquet files, or hf://datasets/nyu-mll/glue",
      common: true,
    },
    { name: 'maxTrainSamples', placeholder: 'n', description: 'Use only the first n training examples (GLUE)', defaultText: 'all' },
    {
      name: 'holdOutTrain',
      placeholder: '',
      description: 'Evaluate on a held-out tenth of the training examples instead of the dev file (GLUE)',
    },
  ],
  hub: (task) => glueOnHub(task as GlueName),
  presets: gluePresets,
  load: (options) => load(toGlueName(options), options),
  loadEvaluation: (options) => loadEvaluation(toGlueName(options), options),
}
