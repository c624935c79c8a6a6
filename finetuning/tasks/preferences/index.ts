/** Preference tuning: the model learns to prefer one of two answers to a prompt, or answers that were rated as desirable. The result writes text. */
import { kto, type KtoSettings, type RatedAnswer, type RatedExample } from './kto.js'
import {
  preference as preferenceObjective,
  type PreferenceAnswer,
  type PreferenceExample,
  type PreferenceSettings,
  preferenceLosses,
} from './objective.js'
import { preferenceMetrics, scorePreferences, scoreRatedAnswers } from './metrics.js'
import { openPreferenceTokens, openRatedTokens } from './tokens.js'
import { bindTexts, textTaskType, type TextBinding } from '../texts/textTaskType.js'
import { chooseTemplate, parseTemplate, type ChosenTemplate } from '../../data/promptTemplates.js'
import { encoding, evalShare, promptTemplate, skipMissing, templateDate } from '../files/flags.js'
import { mixtureFlags } from '../files/mixture.js'
import type { Task, TaskFlag, TaskOptions } from '../task.js'
import { textSource } from '../texts/source.js'
import { readPreferences, readRatedAnswers } from './examples.js'
import { alternatives } from '../../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { decimal } from '../../data/dataset.js'
import type { PreferenceOptions } from '../taskType.js'

// The options of preference tuning: the loss and its numbers.
const losses = [...preferenceLosses, 'kto'] as const
type Loss = PreferenceOptions['loss']

/** @throws InputError for an unknown name */
export const parseLoss = ({ loss = 'dpo' }: TaskOptions): Loss => {
  const named = losses.find((name) => name === loss)
  if (named === undefined) throw inputError(option('loss'), alternatives(losses), quoted(loss))
  return named
}

/** β of the papers: 0.1, and 2 for SimPO, whose rewards are means. */
const usualBeta: Readonly<Record<Loss, number>> = { dpo: 0.1, ipo: 0.1, orpo: 0.1, simpo: 2, kto: 0.1 }

type NumberOption = 'lossBeta' | 'labelSmoothing' | 'simpoGamma' | 'desirableWeight' | 'undesirableWeight'

/** @throws InputError for a number outside its range, and for one that the loss does not have */
const readNumber = (
  options: TaskOptions,
  name: NumberOption,
  usual: number,
  { isRight, expected, of }: { readonly isRight: (value: number) => boolean; readonly expected: string; readonly of: readonly Loss[] },
): number => {
  const given = options[name]
  if (given === undefined) return usual
  const loss = parseLoss(options)
  if (!of.includes(loss)) throw inputError(option(name), words`none with ${option('loss')} ${loss}`, quoted(String(given)))
  const value = typeof given === 'number' ? given : (decimal(given) ?? NaN)
  if (!isRight(value)) throw inputError(option(name), expected, quoted(String(given)))
  return value
}

const positive = { isRight: (value: number) => value > 0 && Number.isFinite(value), expected: 'a number above 0' }

export const preferenceOptions = (options: TaskOptions): PreferenceOptions => {
  const [loss, template] = [parseLoss(options), chooseTemplate(options)]
  const beta = readNumber(options, 'lossBeta', usualBeta[loss], { ...positive, of: losses })
  const [desirableWeight, undesirableWeight] = [
    readNumber(options, 'desirableWeight', 1, { ...positive, of: ['kto'] }),
    readNumber(options, 'undesirableWeight', 1, { ...positive, of: ['kto'] }),
  ]
  const labelSmoothing = readNumber(options, 'labelSmoothing', 0, {
    isRight: (value) => value >= 0 && value < 0.5,
    expected: 'a number from 0 to below 0.5',
    of: ['dpo', 'simpo'],
  })
  const gamma = readNumber(options, 'simpoGamma', 1, {
    isRight: (value) => value >= 0 && Number.isFinite(value),
    expected: 'a number of at least 0',
    of: ['simpo'],
  })
  if (loss === 'kto') return { ...template, loss, beta, desirableWeight, undesirableWeight }
  return { ...template, loss, beta, labelSmoothing, gamma }
}

const ofPairs = ({
  promptTemplate,
  templateDate,
  ...settings
}: PreferenceSettings & ChosenTemplate): TextBinding<PreferenceExample, PreferenceAnswer> => ({
  objective: (model, method) => preferenceObjective(model, settings, method),
  tokenizer: (base, maxLength) => openPreferenceTokens(base, { promptTemplate, templateDate }, maxLength),
  scoreAll: (answers) => scorePreferences(settings, answers),
})

const ofRatings = ({
  promptTemplate,
  templateDate,
  ...settings
}: KtoSettings & ChosenTemplate): TextBinding<RatedExample, RatedAnswer> => ({
  objective: (model, method) => kto(model, settings, method),
  tokenizer: (base, maxLength) => openRatedTokens(base, { promptTemplate, templateDate }, maxLength),
  scoreAll: (answers) => scoreRatedAnswers(settings, answers),
})

const preference = textTaskType(
  {
    name: 'preference',
    noun: 'preference tuning',
    dataNoun: 'answers to prompts',
    metricNames: () => preferenceMetrics,
    bind: (data) => {
      const { preference: options } = data
      if (options === undefined) throw new Error('preference: expected the options of a preference task')
      return options.loss === 'kto' ? bindTexts(data, ofRatings(options)) : bindTexts(data, ofPairs(options))
    },
  },
  'none, as preferences have no classes',
)

const lossFlags: readonly TaskFlag[] = [
  { name: 'lossBeta', placeholder: 'number', description: 'β of the preference loss', defaultText: '0.1, or 2 with simpo' },
  {
    name: 'labelSmoothing',
    placeholder: 'share',
    description: 'Assumed probability that a preference label is wrong (dpo, simpo)',
    defaultText: '0',
  },
  { name: 'simpoGamma', placeholder: 'number', description: 'Margin by which the rewards of simpo should differ', defaultText: '1' },
  { name: 'desirableWeight', placeholder: 'number', description: 'Weight of answers with label true (kto)', defaultText: '1' },
  { name: 'undesirableWeight', placeholder: 'number', description: 'Weight of answers with label false (kto)', defaultText: '1' },
]

const preferencesSource = textSource({
  name: 'preference',
  scoring: { taskType: preference, metrics: [], selectionMetric: 'loss' },
  help: 'pairs of a chosen and a rejected answer, or rated answers, in a file, for a decoder',
  flags: [
    {
      name: 'data',
      placeholder: 'folder|file',
      description: 'preference: JSON, JSON-lines or Parquet file of prompt, chosen and rejected (kto: prompt, completion and label)',
      common: true,
    },
    { name: 'loss', placeholder: 'name', description: 'Preference loss: dpo, ipo, orpo, simpo or kto (preference)', defaultText: 'dpo' },
    ...lossFlags.map((flag) => ({ ...flag, viaSet: true })),
    promptTemplate,
    templateDate,
    skipMissing,
    encoding,
    evalShare,
    ...mixtureFlags,
  ],
  read: (file, options) => (parseLoss(options) === 'kto' ? readRatedAnswers : readPreferences)(file, parseTemplate(options), options),
  dataOptions: (options) => ({ preference: preferenceOptions(options) }),
})

export const preferences: Task = { types: [preference], sources: [preferencesSource] }
