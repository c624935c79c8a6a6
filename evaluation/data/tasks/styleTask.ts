/** Two styles told apart: Yelp's sentiment and GYAFC's formality, from their official files; dev is evaluated on, or with `evalData` another part. */
import { mistake } from '../../../accelerated/files/mistake.js'
import { tsstClassifier } from '../../styleTransfer/classifierPreset.js'
import { caught } from '../caught.js'
import type { Dataset } from '../dataset.js'
import { isStyleName, readStyles, styleCorpora, styleNames, styleParts, type StyleName } from '../styles.js'
import type { Evaluation, Scoring, Task, TaskKind, TaskOptions } from '../task.js'

const scoring: Scoring = { problem: 'classification', metrics: ['accuracy'], selectionMetric: 'accuracy' }

/** What was recognised is one of the names. */
const nameOf = ({ task }: TaskOptions): StyleName => task as StyleName

const read = (part: 'train' | 'dev', options: TaskOptions): Promise<Dataset> => {
  const { data, evalData } = options
  const name = nameOf(options)
  if (data === undefined && (part === 'train' || evalData === undefined))
    throw mistake('--data', `${styleCorpora[name].told} (for --task ${name})`, 'none given')
  return readStyles(name, part === 'dev' ? (evalData ?? part) : part, data)
}

export const styleTask: TaskKind = {
  names: styleNames,
  help: 'two styles, from the official files',
  recognises: isStyleName,
  flags: [
    {
      name: 'data',
      takes: 'folder',
      help:
        "of yelp (negative, positive) the folder of train.0, train.1, dev.0, …, of gyafc (informal, formal) Family_Relationships or another of GYAFC's; " +
        'lines are read in lower case, and --eval-data test takes the test lines instead of dev',
    },
  ],
  parts: styleParts,
  presets: { 'tsst-classifier': tsstClassifier },
  load: (options) =>
    caught(async (): Promise<Task> => {
      const [train, evaluation] = [await read('train', options), await read('dev', options)]
      return { name: nameOf(options), train, evaluation, ...scoring, labelNames: train.labelNames, heldOut: false }
    }),
  loadEvaluation: (options) => caught(async (): Promise<Evaluation> => ({ ...scoring, evaluation: await read('dev', options) })),
}
