/** A labeled file of the user as a task. Evaluates on a second file or on a held-out tenth. */
import { alternatives } from '../../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { atRow, decimal, type Dataset, type Example } from '../../data/dataset.js'
import { contentExtension, fileHelp } from '../../data/formats.js'
import { looksLikeFile } from '../../data/delimited.js'
import { holdOutFold, heldOutShare, holdOut, type HoldOutPart } from '../../data/holdOut.js'
import { taggedEndings } from '../tokenClassification/examples.js'
import { largestTemperature } from '../../data/softLabels.js'
import { exampleStore } from '../../data/compactExamples.js'
import type { Placed } from '../../data/rows.js'
import { taskTypes } from '../findTaskType.js'
import { singleLabel } from '../classification/index.js'
import type { Evaluation, Scoring, LoadedTask, TaskSource, TaskOptions } from '../task.js'
import type { FileReading } from '../taskType.js'
import { mixedTraining, mixtureFlags, readFiles } from './mixture.js'
import { encoding, evalShare, skipMissing, textColumn } from './flags.js'

const load = async (options: TaskOptions & Placed): Promise<LoadedTask> => {
  const { file, scoring, ...further } = chooseReading(options)
  const temperature = parseTemperature(options)
  const all = await readFiles(options.task, options, file.read)
  const { evalData } = options
  const part = options.fold === undefined ? heldOutShare(options) : holdOutFold(options.fold)
  const parts = evalData === undefined ? splitHeldOut(all, file, options, part) : await withEvaluationFile(all, evalData, file, options)
  return {
    name: options.task,
    ...parts,
    ...scoring,
    ...further,
    ...(file.scalesScores === true ? { scalesScores: true } : {}),
    ...chooseSoftLoss(all, temperature),
    labelNames: all.labelNames,
  }
}

/** The temperature of the teacher's logits; null: the numbers of soft labels are probabilities. @throws InputError */
const parseTemperature = ({ teacherTemperature }: TaskOptions): number | null => {
  if (teacherTemperature === undefined) return null
  const temperature = decimal(String(teacherTemperature))
  if (temperature === null || temperature <= 0 || temperature > largestTemperature)
    throw inputError(option('teacherTemperature'), `a number above 0 and at most ${largestTemperature}`, quoted(String(teacherTemperature)))
  return temperature
}

/** @throws InputError for a row without the logits that the user announced */
const chooseSoftLoss = ({ source, examples }: Dataset, temperature: number | null): Pick<LoadedTask, 'softTemperature'> => {
  const hard = examples.find(({ shares }) => shares === undefined)
  if (temperature !== null && hard !== undefined)
    throw inputError(atRow(source, hard.row), words`a logit for each class (${option('teacherTemperature')})`, 'another label')
  return examples.some(({ shares }) => shares !== undefined) ? { softTemperature: temperature ?? 1 } : {}
}

const loadEvaluation = async (options: TaskOptions & Placed): Promise<Evaluation> => {
  const { file, scoring, ...further } = chooseReading(options)
  const { evalData, negative: _, ...others } = options // no negative takes part in an evaluation
  const evaluation = await (evalData === undefined ? readFiles(options.task, options, file.read) : file.read(evalData, others))
  return { ...scoring, ...further, evaluation, sorted: options.labelNames === undefined }
}

/** How the file is read and scored: by the task type that --problem-type names, else by the file's ending. @throws InputError for an unknown name */
const chooseReading = (options: TaskOptions): { readonly file: FileReading; readonly scoring: Scoring } & Pick<LoadedTask, 'embedding'> => {
  const { task, problemType, labelsAsText, mergeLabels } = options
  const ofFiles = taskTypes.filter(({ file }) => file !== undefined)
  const ending = contentExtension(task)
  const name = problemType ?? ofFiles.find(({ file }) => file?.endings?.includes(ending))?.name ?? singleLabel.name
  const taskType = ofFiles.find((known) => known.name === name)
  if (taskType?.file === undefined) throw inputError(option('problemType'), alternatives(ofFiles.map((known) => known.name)), quoted(name))
  const { metrics, selectionMetric, noClasses, ...file } = taskType.file
  if (labelsAsText === true && noClasses !== undefined) throw inputError(option('labelsAsText', true), 'classes as labels', noClasses)
  if (mergeLabels !== undefined && noClasses !== undefined) throw inputError(option('mergeLabels'), 'classes as labels', noClasses)
  const stray = file.embedding === undefined ? embeddingNames.find((one) => options[one] !== undefined) : undefined
  if (stray !== undefined) throw inputError(option(stray), words`${option('problemType')} pairs`, quoted(name))
  const embedding = file.embedding?.(options)
  const ofSizes = embedding?.sizes.map((size) => `${embedding.sizeMetric}${size}`) ?? []
  const scoring = { taskType, metrics: [...metrics, ...ofSizes], selectionMetric }
  return { file, scoring, ...(embedding === undefined ? {} : { embedding }) }
}

const embeddingNames = ['negative', 'matryoshka'] as const

type Parts = Pick<LoadedTask, 'train' | 'evaluation' | 'heldOut'>

const splitHeldOut = (all: Dataset, { strata }: FileReading, options: TaskOptions & Placed, part: HoldOutPart): Parts => {
  const seed = options.holdOutSeed ?? 0
  const split = holdOut<Example>({ seed, strata, ...part, onShare: options.onSplit })
  const { kept, held } = split(all.examples)
  if (held.length === 0 && part.share > 0) {
    refuseIds(all, options)
    if (options.fold !== undefined) {
      const { held: possible } = holdOut<Example>({ seed, strata, share: part.share, isHeld: () => true })(all.examples)
      throw inputError(
        all.source,
        words`a different text for each of ${options.fold.of} folds (or fewer ${option('folds')})`,
        `${distinct(possible)} that can be held out`,
      )
    }
    throw inputError(all.source, words`${enough(all)}, so that one can be held out (or ${option('evalData')})`, differentTexts(all))
  }
  const examples = held.map(exampleStore()) // a store of their own, so each part can be released separately
  const { files: _, ...whole } = all
  return { train: mixedTraining(all, kept, options), evaluation: { ...whole, examples, skipped: [] }, heldOut: true }
}

/** Fewer rows may well have a class each. */
const manyRows = 20

/** @throws InputError if nearly every row has a label of its own, as in a column of ids */
const refuseIds = ({ source, labelNames, examples }: Dataset, { label = 'label' }: TaskOptions): void => {
  const values = labelNames?.length ?? 0
  if (examples.length < manyRows || values < 0.9 * examples.length) return
  throw inputError(
    source,
    words`the column of classes (${option('label')})`,
    `${quoted(label)}, with ${values} values in ${examples.length} rows`,
  )
}

const enough = ({ labelNames, examples }: Dataset): string =>
  examples[0]?.words !== undefined
    ? 'two different sentences'
    : labelNames === null
      ? 'two different texts'
      : 'two different texts of one class'

const differentTexts = ({ examples, labelNames }: Dataset): string => {
  const texts = distinct(examples)
  const rows = `${examples.length} ${examples.length === 1 ? 'row' : 'rows'}`
  return texts === examples.length
    ? rows + (labelNames === null ? '' : ', each of a class of its own')
    : `${texts} different ${texts === 1 ? 'text' : 'texts'} in ${rows}`
}

const distinct = (examples: readonly Example[]): number =>
  new Set(examples.map(({ text, textPair }) => JSON.stringify([text, textPair]))).size

const withEvaluationFile = async (
  train: Dataset,
  evalFile: string,
  { read }: FileReading,
  options: TaskOptions & Placed,
): Promise<Parts> => {
  const { labelNames } = train
  const { negative: _, ...others } = options // no negative takes part in an evaluation
  const evaluation = await read(evalFile, labelNames === null ? others : { ...others, labelNames })
  return { train: mixedTraining(train, train.examples, options), evaluation, heldOut: false }
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
      name: 'mergeLabels',
      placeholder: 'case',
      description: 'Merge classes that differ only in case or blanks, under the most frequent spelling',
    },
    {
      name: 'teacherTemperature',
      placeholder: 'number',
      description: "Distillation temperature, where the labels are a teacher's logits by class (classification)",
      defaultText: 'labels by class are probabilities',
      viaSet: true,
    },
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
    ...mixtureFlags,
    {
      name: 'problemType',
      placeholder: 'name',
      description:
        'Problem type of a file: classification, regression, multi-label (labels separated by |, or a JSON list), token-classification (a tag per word), similarity (scored pairs), pairs or rerank (graded texts of queries)',
      defaultText: `classification; token-classification for ${alternatives(taggedEndings, Infinity)} files`,
    },
    {
      name: 'negative',
      placeholder: 'column',
      description: 'Column of hard negatives, or mined to let the model find them (pairs)',
      viaSet: true,
    },
    {
      name: 'matryoshka',
      placeholder: 'sizes',
      description: 'Matryoshka sizes to train besides the full embedding, such as 256,128,64 (pairs, similarity)',
      viaSet: true,
    },
    {
      name: 'tagNames',
      placeholder: 'names',
      description: "Names of the file's numeric tags, in order, separated by commas (token-classification)",
    },
  ],
  load,
  loadEvaluation,
}
