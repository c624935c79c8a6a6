/** A labeled file of the user as a task. Evaluates on a second file or on a held-out tenth. */
import { alternatives } from '../../../accelerated/errors/alternatives.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import type { Dataset, Example } from '../../data/dataset.js'
import { fileHelp } from '../../data/formats.js'
import { looksLikeFile, readDelimited, type DelimitedOptions } from '../../data/delimited.js'
import { foldOf, heldOutShare, holdOut, type HoldOutPart } from '../../data/holdOut.js'
import { scoreColumn, type LabelColumn } from '../../data/labelColumn.js'
import { exampleStore } from '../../data/compactExamples.js'
import { taskTypes } from '../taskTypes/index.js'
import { singleLabel } from '../taskTypes/singleLabel.js'
import type { Evaluation, Scoring, Task, TaskSource, TaskOptions } from '../task.js'
import { encoding, evalShare, skipMissing, textColumn } from './sharedFlags.js'

const load = async (options: TaskOptions): Promise<Task> => {
  const file = fileOptions(options)
  const all = await readDelimited(options.task, file)
  const { evalData } = options
  const part = options.fold === undefined ? { heldOf: heldOutShare(options) } : foldOf(options.fold)
  const parts = evalData === undefined ? heldOutOf(all, file, options.holdOutSeed, part) : await withEvaluationFile(all, evalData, file)
  return { name: options.task, ...parts, ...file.scoring, labelNames: all.labelNames }
}

const loadEvaluation = async (options: TaskOptions): Promise<Evaluation> => {
  const file = fileOptions(options)
  const evaluation = await readDelimited(options.evalData ?? options.task, file)
  return { ...file.scoring, evaluation, sorted: options.labelNames === undefined }
}

type FileOptions = DelimitedOptions & { readonly labelColumn: LabelColumn; readonly scoring: Scoring }

/** The options of a file, by the task type that --problem-type names. @throws InputError for an unknown name */
const fileOptions = (options: TaskOptions): FileOptions => {
  const { problemType = singleLabel.name } = options
  const taskType = taskTypes.find(({ name, file }) => name === problemType && file !== undefined)
  if (taskType?.file === undefined) {
    const names = taskTypes.filter(({ file }) => file !== undefined).map(({ name }) => name)
    throw inputError('--problem-type', alternatives(names), quoted(problemType))
  }
  const { labels, metrics, selectionMetric } = taskType.file
  if (options.labelsAsText === true && labels === scoreColumn) throw inputError('--labels-as-text', 'classes as labels', 'a regression')
  return { ...options, labelColumn: labels, scoring: { taskType, metrics, selectionMetric } }
}

type Parts = Pick<Task, 'train' | 'evaluation' | 'heldOut'>

const heldOutOf = (all: Dataset, { labelColumn }: FileOptions, seed = 0, part: HoldOutPart): Parts => {
  const split = holdOut<Example>({ seed, stratumOf: labelColumn.strata(all.examples), ...part })
  const { kept, held } = split(all.examples)
  if (held.length === 0) throw inputError(all.source, `${enough(all)}, so that one can be held out (or --eval-data)`, differentTexts(all))
  const examples = held.map(exampleStore()) // a store of their own, so each part can be released separately
  return { train: { ...all, examples: kept }, evaluation: { ...all, examples, skipped: [] }, heldOut: true }
}

const enough = ({ labelNames }: Dataset): string =>
  labelNames === null ? 'at least 11 different texts' : 'two different texts of one class'

const differentTexts = ({ examples, labelNames }: Dataset): string => {
  const texts = new Set(examples.map(({ text, textPair }) => JSON.stringify([text, textPair]))).size
  const rows = `${examples.length} ${examples.length === 1 ? 'row' : 'rows'}`
  return texts === examples.length
    ? rows + (labelNames === null ? '' : ', each of a class of its own')
    : `${texts} different ${texts === 1 ? 'text' : 'texts'} in ${rows}`
}

const withEvaluationFile = async (train: Dataset, file: string, options: FileOptions): Promise<Parts> => {
  const { labelNames } = train
  const evaluation = await readDelimited(file, labelNames === null ? options : { ...options, labelNames })
  return { train, evaluation, heldOut: false }
}

export const labeledFileSource: TaskSource = {
  names: [],
  help: fileHelp,
  recognizes: looksLikeFile,
  isOneFile: true,
  flags: [
    textColumn,
    { name: 'textPair', placeholder: 'column', description: 'Column of the second text of a pair' },
    { name: 'label', placeholder: 'column', description: 'Column of the label', defaultText: 'label', common: true },
    { name: 'labelsAsText', placeholder: '', description: 'Read labels as texts: 1.10 and 1.1 are two classes' },
    {
      name: 'delimiter',
      placeholder: 'character',
      description: 'Delimiter of the cells in a .csv or .tsv file: a character or tab',
      defaultText: 'a tab in .tsv; in .csv a comma, or what the header shows',
    },
    encoding,
    { name: 'quote', placeholder: '', description: 'Allow quoted cells in a .tsv file, as in a .csv file' },
    skipMissing,
    evalShare,
    {
      name: 'problemType',
      placeholder: 'name',
      description: 'Problem type of a file: classification, regression or multi-label (labels separated by |, or a JSON list)',
      defaultText: 'classification',
    },
  ],
  load,
  loadEvaluation,
}
