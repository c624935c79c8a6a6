/** The flags of all task sources, each once, and the names of a task's options: a program may mistype one, which would be ignored in silence. */
import type { TaskFlag, TaskOptions, TaskSource } from './task.js'
import { refuseOtherKeys } from '../../accelerated/errors/validate.js'
import { glueSource } from './datasets/glue.js'
import { sentimentSource, stylesSource } from './datasets/styles.js'
import { labeledFileSource } from './files/labeledFile.js'
import { tasks } from './table.js'

/** All sources of data: published datasets by name, the tasks' files by the task's name, and files by their path. */
export const taskSources: ReadonlyArray<TaskSource> = [
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

export const taskFlags: ReadonlyArray<TaskFlag> = [...new Set(all.map(({ name }) => name))].map(merged)

/** Options that are no flags of a source. */
const others = [
  ...(['task', 'evalData', 'testData', 'holdOutSeed', 'fold'] as const),
  ...(['positiveLabel', 'metricForBestModel', 'labelNames'] as const),
] satisfies ReadonlyArray<keyof TaskOptions>

/** @throws InputError for the first other key */
export const checkTaskOptions = (options: object): void =>
  refuseOtherKeys(options, [...others, ...taskFlags.map(({ name }) => name)], 'task', 'an option of a task')
