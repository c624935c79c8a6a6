/** Whether a run can spread over machines: its steps have parts, and what travels for each part is small enough. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { mostNumbers } from '../distributed/mostNumbers.js'
import type { PreparedRun } from './prepareTask.js'
import type { RunOptions } from './run.js'

/** @throws InputError if --redis is given for a run whose steps have one part, or that trains too many numbers */
export const checkSpreads = (
  { redis, exchange, settings }: Pick<RunOptions, 'redis' | 'exchange' | 'settings'>,
  { start, task }: Pick<PreparedRun, 'start' | 'task'>,
): void => {
  if (redis === undefined) {
    if (exchange !== undefined) throw inputError('--exchange', '--redis too, whose workers exchange gradients', 'none')
    return
  }
  if (settings.gradientAccumulationSteps < 2)
    throw inputError('--redis', '--gradient-accumulation-steps of at least 2, the parts of a step that workers compute', '1')
  const numbers = start.parameters.length
  if (numbers > mostNumbers)
    throw inputError(
      '--redis',
      `at most ${mostNumbers.toLocaleString('en-US')} trained numbers, since all of them travel for each part of each step`,
      `${numbers.toLocaleString('en-US')} of method ${task.method.name}`,
    )
}
