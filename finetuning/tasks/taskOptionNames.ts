/** The names of a task's options: a program may mistype one, which would be ignored in silence. */
import { refuseOtherKeys } from '../../accelerated/errors/otherKeys.js'
import type { TaskOptions } from './task.js'
import { taskFlags } from './taskFlags.js'

/** Options that are no flags of a source. */
const others = [
  ...(['task', 'evalData', 'testData', 'holdOutSeed', 'fold'] as const),
  ...(['positiveLabel', 'metricForBestModel', 'labelNames'] as const),
] satisfies ReadonlyArray<keyof TaskOptions>

/** @throws InputError for the first other key */
export const checkTaskOptions = (options: object): void =>
  refuseOtherKeys(options, [...others, ...taskFlags.map(({ name }) => name)], 'task', 'an option of a task')
