/** Style classification: Yelp's sentiment and GYAFC's formality, from their official files. Evaluates on dev, or on the part that `evalData` names. */
import type { TaskPreset, Scoring, TaskSource, TaskOptions, LoadedTask } from '../task.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import type { Dataset } from '../../data/dataset.js'
import { isStyleName, readStyles, styleCorpora, styleNames, styleParts, type StyleName } from '../../data/styles.js'
import { singleLabel } from '../classification/index.js'
import { readSentiment } from '../../data/sentiment.js'

/** The embedded dataset of review sentences as a task. */
const load = async ({ evalData, testData }: TaskOptions): Promise<LoadedTask> => {
  if (testData !== undefined)
    throw inputError(option('testData'), words`no file with ${option('task')} sentiment, whose sentences are embedded`, quoted(testData))
  if (evalData !== undefined)
    throw inputError(
      option('evalData'),
      words`no file with ${option('task')} sentiment, whose dev sentences are embedded`,
      quoted(evalData),
    )
  const { train, dev } = readSentiment()
  return {
    name: 'sentiment',
    train,
    evaluation: dev,
    taskType: singleLabel,
    metrics: ['accuracy'],
    selectionMetric: 'accuracy',
    labelNames: train.labelNames,
    heldOut: false,
  }
}

export const sentimentSource: TaskSource = {
  names: ['sentiment'],
  help: '3,000 sentences of reviews, which are embedded',
  recognizes: (task) => task === 'sentiment',
  load,
  loadEvaluation: load,
}

export const tsstClassifier: TaskPreset = {
  method: 'full',
  help: 'style classifier of TSST, by full fine-tuning',
  settings: (task) => ({
    learningRate: 2e-5,
    adamEpsilon: 1e-8,
    weightDecay: 1e-8,
    warmupRatio: 0, // linear decay to 0 from the first step
    batchSize: 32,
    epochs: 5,
    maxLength: task === 'gyafc' ? 32 : 18,
    maxGradNorm: 1,
    seed: 42,
    evalSteps: 300,
    loadBestModelAtEnd: true,
    head: 'transformers',
  }),
}

const scoring: Scoring = { taskType: singleLabel, metrics: ['accuracy'], selectionMetric: 'accuracy' }

/** The task's name: `recognizes` has checked that it is one of the names. */
const toStyleName = ({ task }: TaskOptions): StyleName => task as StyleName

const read = (part: 'train' | 'dev', options: TaskOptions): Promise<Dataset> => {
  const { data, evalData } = options
  const name = toStyleName(options)
  if (data === undefined && (part === 'train' || evalData === undefined))
    throw inputError(option('data'), words`${styleCorpora[name].description} (for ${option('task')} ${name})`, 'none given')
  return readStyles(name, part === 'dev' ? (evalData ?? part) : part, data)
}

export const stylesSource: TaskSource = {
  names: styleNames,
  help: 'two styles, from the official files',
  recognizes: isStyleName,
  flags: [
    {
      name: 'data',
      placeholder: 'folder|file',
      description:
        'yelp: folder of train.0, train.1, dev.0, …; gyafc: Family_Relationships or another folder of GYAFC (for both, --eval-data test uses the test files)',
      common: true,
    },
  ],
  parts: styleParts,
  presets: { 'tsst-classifier': tsstClassifier },
  load: async (options) => {
    const [train, evaluation] = [await read('train', options), await read('dev', options)]
    return { name: toStyleName(options), train, evaluation, ...scoring, labelNames: train.labelNames, heldOut: false }
  },
  loadEvaluation: async (options) => ({ ...scoring, evaluation: await read('dev', options) }),
}
