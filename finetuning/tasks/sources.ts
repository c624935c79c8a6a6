/** All sources of data: published datasets by name, the tasks' files by the task's name, and files by their path. And their flags. */
import { glueSource } from './datasets/glueSource.js'
import { sentimentSource, stylesSource } from './datasets/styleSource.js'
import { labeledFileSource } from './files/labeledFile.js'
import { tasks } from './table.js'
import type { TaskFlag, TaskOptions, TaskSource } from './task.js'
import { refuseOtherKeys } from '../../accelerated/errors/validate.js'

export const taskSources: readonly TaskSource[] = [
  glueSource,
  stylesSource,
  sentimentSource,
  ...tasks.flatMap(({ sources = [] }) => sources),
  labeledFileSource,
]

const all = taskSources.flatMap(({ flags = [] }) => flags)

const merged = (name: TaskFlag['name']): TaskFlag => {
  const flags = all.filter((flag) => flag.name === name)
  const descriptions = [...new Set(flags.map(({ description }) => description))]
  return { placeholder: '', ...flags.at(-1), name, description: descriptions.join('; ') }
}

/** The flags of all sources, each once. */
export const taskFlags: readonly TaskFlag[] = [...new Set(all.map(({ name }) => name))].map(merged)

/** Options that are no flags of a source. */
const others = [
  ...(['task', 'evalData', 'testData', 'holdOutSeed', 'fold'] as const),
  ...(['positiveLabel', 'metricForBestModel', 'labelNames'] as const),
] satisfies readonly (keyof TaskOptions)[]

/** Refuses a mistyped option of a task, which would be ignored in silence. @throws InputError for the first other key */
export const checkTaskOptions = (options: object): void =>
  refuseOtherKeys(options, [...others, ...taskFlags.map(({ name }) => name)], 'task', 'an option of a task')
