/** An estimate of memory in words. */
import type { Estimate, Fitting } from '../../finetuning/runs/estimate.js'
import { flagOf } from '../options/flagNames.js'
import { megabytes } from './numbers.js'

type Part = 'base' | 'weights' | 'activations' | 'state' | 'evaluation' | 'graphs'

const parts: ReadonlyArray<readonly [Part, string]> = [
  ['weights', 'the weights as the precision holds them'],
  ['activations', 'values between, while a step of the largest batch runs'],
  ['state', 'what is trained, its moments and its copies'],
  ['evaluation', 'weights and values of an evaluation'],
  ['graphs', 'the graphs themselves'],
  ['base', 'Node, its libraries, the tokenizer'],
]

/** One line, for a run that is about to begin. */
export const estimateLine = (estimate: Estimate): string =>
  `expected peak of memory: ${megabytes(estimate.peak)} (${parts
    .filter(([name]) => estimate[name] > 0)
    .map(([name]) => `${name} ${megabytes(estimate[name])}`)
    .join(', ')})`

/** What is wrong with it; null where it fits. */
export const estimateWarning = ({ peak, memory, fitting }: Estimate): string | null =>
  peak <= memory
    ? null
    : `expected peak of memory: ${megabytes(peak)}, more than the ${megabytes(memory)} here; ${
        fitting.length === 0 ? 'no smaller batch fits either' : `what would fit: ${fitting.map(fittingText).join(', or ')}`
      }`

const fittingText = ({ settings, peak }: Fitting): string =>
  `${Object.entries(settings)
    .map(([name, value]) => (value === true ? flagOf(name) : `${flagOf(name)} ${value}`))
    .join(' ')} (${megabytes(peak)})`

export const estimateText = (estimate: Estimate): string =>
  [
    ...parts.map(([name, words]) => `${name.padEnd(12)}${megabytes(estimate[name]).padStart(10)}  ${words}`),
    `${'peak'.padEnd(12)}${megabytes(estimate.peak).padStart(10)}  of ${megabytes(estimate.memory)} here`,
  ].join('\n')
