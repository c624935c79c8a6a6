/** The flags of all task sources, each once, and the names of a task's options: a program may mistype one, which would be ignored in silence. */
import { taskSources } from './sources.js'
import type { TaskFlag, TaskOptions } from './task.js'
import { refuseOtherKeys } from '../../accelerated/errors/validate.js'

const all = taskSources.flatMap(({ flags = [] }) => flags)

const merged = (name: TaskFlag['name']): TaskFlag => {
  const flags = all.filter((flag) => flag.name === name)
  const descriptions = [...new Set(flags.map(({ description }) => description))]
  return { placeholder: '', ...flags.at(-1), name, description: descriptions.join('; ') }
}

export const taskFlags: readonly TaskFlag[] = [...new Set(all.map(({ name }) => name))].map(merged)

/** Options that are no flags of a source. */
const others = [
  ...(['task', 'evalData', 'testData', 'holdOutSeed', 'fold'] as const),
  ...(['positiveLabel', 'metricForBestModel', 'labelNames'] as const),
] satisfies readonly (keyof TaskOptions)[]

/** @throws InputError for the first other key */
export const checkTaskOptions = (options: object): void =>
  refuseOtherKeys(options, [...others, ...taskFlags.map(({ name }) => name)], 'task', 'an option of a task')
