/** The options of preference tuning: the loss and its numbers. */
import { alternatives } from '../../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { preferenceLosses } from './objective.js'
import { decimal } from '../../data/dataset.js'
import { templateOf } from '../../data/promptTemplates.js'
import { flagOf } from '../../commandLine/shell.js'
import type { TaskOptions } from '../task.js'
import type { PreferenceOptions } from '../taskType.js'

const losses = [...preferenceLosses, 'kto'] as const
type Loss = PreferenceOptions['loss']

/** @throws InputError for an unknown name */
export const lossOf = ({ loss = 'dpo' }: TaskOptions): Loss => {
  const named = losses.find((name) => name === loss)
  if (named === undefined) throw inputError('--loss', alternatives(losses), quoted(loss))
  return named
}

/** β of the papers: 0.1, and 2 for SimPO, whose rewards are means. */
const usualBeta: Readonly<Record<Loss, number>> = { dpo: 0.1, ipo: 0.1, orpo: 0.1, simpo: 2, kto: 0.1 }

type NumberOption = 'lossBeta' | 'labelSmoothing' | 'simpoGamma' | 'desirableWeight' | 'undesirableWeight'

/** @throws InputError for a number outside its range, and for one that the loss does not have */
const numberOf = (
  options: TaskOptions,
  name: NumberOption,
  usual: number,
  { isRight, expected, of }: { readonly isRight: (value: number) => boolean; readonly expected: string; readonly of: readonly Loss[] },
): number => {
  const given = options[name]
  if (given === undefined) return usual
  const loss = lossOf(options)
  if (!of.includes(loss)) throw inputError(flagOf(name), `none with --loss ${loss}`, quoted(String(given)))
  const value = typeof given === 'number' ? given : (decimal(given) ?? NaN)
  if (!isRight(value)) throw inputError(flagOf(name), expected, quoted(String(given)))
  return value
}

const positive = { isRight: (value: number) => value > 0 && Number.isFinite(value), expected: 'a number above 0' }

export const preferenceOptions = (options: TaskOptions): PreferenceOptions => {
  const [loss, promptTemplate] = [lossOf(options), templateOf(options)]
  const beta = numberOf(options, 'lossBeta', usualBeta[loss], { ...positive, of: losses })
  const [desirableWeight, undesirableWeight] = [
    numberOf(options, 'desirableWeight', 1, { ...positive, of: ['kto'] }),
    numberOf(options, 'undesirableWeight', 1, { ...positive, of: ['kto'] }),
  ]
  const labelSmoothing = numberOf(options, 'labelSmoothing', 0, {
    isRight: (value) => value >= 0 && value < 0.5,
    expected: 'a number from 0 to below 0.5',
    of: ['dpo', 'simpo'],
  })
  const gamma = numberOf(options, 'simpoGamma', 1, {
    isRight: (value) => value >= 0 && Number.isFinite(value),
    expected: 'a number of at least 0',
    of: ['simpo'],
  })
  if (loss === 'kto') return { promptTemplate, loss, beta, desirableWeight, undesirableWeight }
  return { promptTemplate, loss, beta, labelSmoothing, gamma }
}
