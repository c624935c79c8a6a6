/** Whether a run can spread over machines: its steps have parts, and what travels for each part is small enough. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import type { RunOptions } from './run.js'

/** Trained numbers at most: 256 MB, which travel to every worker in each step and back for each part. A value in Redis has at most 512 MB. */
export const mostNumbers = 2 ** 26

/** @throws InputError if --redis is given for a run whose steps have one part, or --exchange without it */
export const checkExchange = ({ redis, exchange, settings }: Pick<RunOptions, 'redis' | 'exchange' | 'settings'>): void => {
  if (redis === undefined && exchange !== undefined)
    throw inputError(option('exchange'), words`${option('redis')} too, whose workers exchange gradients`, 'none')
  if (redis !== undefined && settings.gradientAccumulationSteps < 2)
    throw inputError(
      option('redis'),
      words`${option('gradientAccumulationSteps')} of at least 2, the parts of a step that workers compute`,
      '1',
    )
}

/** @throws InputError if --redis is given for a run that trains too many numbers, or mines negatives. */
export const checkSpreads = (
  { redis, task }: Pick<RunOptions, 'redis'> & { readonly task?: RunOptions['task'] },
  {
    start: { parameters },
    task: { method },
  }: { readonly start: Pick<RunState, 'parameters'>; readonly task: { readonly method: { readonly name: string } } },
): void => {
  if (redis !== undefined && task?.negative === 'mined')
    throw inputError(option('redis'), words`a column of negatives (${option('negative')}), which all machines read`, 'mined')
  if (redis !== undefined && parameters.length > mostNumbers)
    throw inputError(
      option('redis'),
      `at most ${mostNumbers.toLocaleString('en-US')} trained numbers, since all of them travel for each part of each step`,
      `${parameters.length.toLocaleString('en-US')} of method ${method.name}`,
    )
}
