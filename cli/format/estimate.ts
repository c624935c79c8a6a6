/** An estimate of memory as text. */
import type { Estimate, Fitting } from '../../finetuning/run/estimateRun.js'
import { toFlag } from '../../finetuning/commandLine/optionNames.js'
import { megabytes } from './numbers.js'

type Part = 'base' | 'weights' | 'activations' | 'state' | 'evaluation' | 'samples' | 'graphs'

const parts: readonly (readonly [Part, string])[] = [
  ['weights', 'weights in the precision of the run'],
  ['activations', 'activations of a step with the largest batch'],
  ['state', 'trained parameters, their moments and copies'],
  ['evaluation', 'weights and activations of an evaluation'],
  ['samples', 'weights and cache of the answers to sample prompts'],
  ['graphs', 'graphs'],
  ['base', 'Node, its libraries and the tokenizer; on a card, CUDA'],
]

/** One line, printed when a run starts. `salora estimate` lists the parts. */
export const estimateLine = ({ peak, card }: Estimate): string =>
  `estimated peak memory: ${megabytes(peak)}${card === undefined ? '' : ` on ${card}`}`

/** A warning if the run does not fit; null if it does. */
export const estimateWarning = ({ peak, memory, card, fitting }: Estimate): string | null => {
  if (peak <= memory) return null
  const remedy = fitting.length === 0 ? 'no smaller batch fits either' : `these settings fit: ${fitting.map(fittingText).join(', or ')}`
  if (card !== undefined) return `estimated peak memory: ${megabytes(peak)}, but ${card} has ${megabytes(memory)}; ${remedy}`
  return `estimated peak memory: ${megabytes(peak)}, but this machine has ${megabytes(memory)}; ${remedy}`
}

const fittingText = ({ settings, peak }: Fitting): string =>
  `${Object.entries(settings)
    .map(([name, value]) => (value === true ? toFlag(name) : `${toFlag(name)} ${value}`))
    .join(' ')} (${megabytes(peak)})`

export const estimateTable = (estimate: Estimate): string =>
  [
    ...parts
      .filter(([name]) => name !== 'samples' || estimate.samples > 0)
      .map(([name, words]) => `${name.padEnd(12)}${megabytes(estimate[name]).padStart(10)}  ${words}`),
    `${'peak'.padEnd(12)}${megabytes(estimate.peak).padStart(10)}  of ${megabytes(estimate.memory)} on ${estimate.card ?? 'this machine'}`,
  ].join('\n')
