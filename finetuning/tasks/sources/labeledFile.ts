/** A file of the user's own as a task: evaluated on a second file, or on a tenth of itself that is held out. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import type { Dataset } from '../../data/dataset.js'
import { fileHelp } from '../../data/formats.js'
import { looksLikeFile, readDelimited } from '../../data/delimited.js'
import { holdOut, labelStrata, tenth } from '../../data/holdOut.js'
import { exampleStore } from '../../data/compactExamples.js'
import type { Evaluation, Scoring, Task, TaskSource, TaskOptions } from '../task.js'

const load = async (options: TaskOptions): Promise<Task> => {
  const all = await readDelimited(options.task, options)
  const { labelNames } = all
  const parts = options.evalData === undefined ? heldOutOf(all, options) : await withEvaluationFile(all, options.evalData, options)
  return { name: options.task, ...parts, ...scoring(labelNames, options), labelNames }
}

const loadEvaluation = async (options: TaskOptions): Promise<Evaluation> => {
  const evaluation = await readDelimited(options.evalData ?? options.task, options)
  return { ...scoring(evaluation.labelNames, options), evaluation, sorted: options.labelNames === undefined }
}

type Parts = Pick<Task, 'train' | 'evaluation' | 'heldOut'>

const heldOutOf = (all: Dataset, { holdOutSeed, problemType }: TaskOptions): Parts => {
  const settings = { seed: holdOutSeed ?? 0, stratumOf: labelStrata(problemType ?? 'classification', all.examples), heldOf: tenth }
  const { kept, held } = holdOut(settings)(all.examples)
  if (held.length === 0) throw inputError(all.source, `${enough(all)}, so that one can be held out (or --eval-data)`, differentTexts(all))
  const examples = held.map(exampleStore()) // in a store of their own, so that each part can be released by itself
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

const withEvaluationFile = async (train: Dataset, file: string, options: TaskOptions): Promise<Parts> => {
  const { labelNames } = train
  const evaluation = await readDelimited(file, labelNames === null ? options : { ...options, labelNames })
  return { train, evaluation, heldOut: false }
}

/** A file's scores are STS-B's; its classes count by accuracy and Matthews' coefficient. */
const scoring = (labelNames: ReadonlyArray<string> | null, { problemType }: TaskOptions): Scoring => {
  if (problemType === 'multi-label') return { taskType: problemType, metrics: [], selectionMetric: 'microF1' }
  if (labelNames === null) return { taskType: 'regression', metrics: ['pearson', 'spearman'], selectionMetric: 'mean' }
  return { taskType: 'classification', metrics: ['accuracy', 'matthews'], selectionMetric: 'accuracy' }
}

export const labeledFileSource: TaskSource = {
  names: [],
  help: fileHelp,
  recognizes: looksLikeFile,
  flags: [
    { name: 'text', placeholder: 'column', description: 'Column of the text', defaultText: 'text', common: true },
    { name: 'textPair', placeholder: 'column', description: 'Column of the second text of a pair' },
    { name: 'label', placeholder: 'column', description: 'Column of the label', defaultText: 'label', common: true },
    {
      name: 'delimiter',
      placeholder: 'character',
      description: 'Delimiter of the cells in a .csv or .tsv file: a character or tab',
      defaultText: 'a comma in .csv, a tab in .tsv',
    },
    { name: 'quote', placeholder: '', description: 'Allow quoted cells in a .tsv file, as in a .csv file' },
    { name: 'skipMissing', placeholder: '', description: 'Skip rows without a text, a label or a response' },
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
