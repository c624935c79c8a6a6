/** All sources of data: published datasets by name, the tasks' files by the task's name, and files by their path. */
import { glueSource } from './datasets/glueSource.js'
import { sentimentSource, stylesSource } from './datasets/styleSource.js'
import { labeledFileSource } from './files/labeledFile.js'
import { tasks } from './table.js'
import type { TaskSource } from './task.js'

export const taskSources: readonly TaskSource[] = [
  glueSource,
  stylesSource,
  sentimentSource,
  ...tasks.flatMap(({ sources = [] }) => sources),
  labeledFileSource,
]
