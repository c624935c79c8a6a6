/** Style classification: Yelp's sentiment and GYAFC's formality, from their official files. Evaluates on dev, or on the part that `evalData` names. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import { tsstClassifier } from './tsstClassifier.js'
import type { Dataset } from '../../data/dataset.js'
import { isStyleName, readStyles, styleCorpora, styleNames, styleParts, type StyleName } from '../../data/styles.js'
import { singleLabel } from '../classification/index.js'
import type { Scoring, TaskSource, TaskOptions } from '../task.js'

const scoring: Scoring = { taskType: singleLabel, metrics: ['accuracy'], selectionMetric: 'accuracy' }

/** The task's name: `recognizes` has checked that it is one of the names. */
const nameOf = ({ task }: TaskOptions): StyleName => task as StyleName

const read = (part: 'train' | 'dev', options: TaskOptions): Promise<Dataset> => {
  const { data, evalData } = options
  const name = nameOf(options)
  if (data === undefined && (part === 'train' || evalData === undefined))
    throw inputError('--data', `${styleCorpora[name].description} (for --task ${name})`, 'none given')
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
    return { name: nameOf(options), train, evaluation, ...scoring, labelNames: train.labelNames, heldOut: false }
  },
  loadEvaluation: async (options) => ({ ...scoring, evaluation: await read('dev', options) }),
}
