/** The table of task sources: where a task's data come from. */
import type { TaskSource } from './task.js'
import { instructionsSource } from './instructions/index.js'
import { labeledFileSource } from './files/labeledFile.js'
import { glueSource } from './datasets/glue.js'
import { sentimentSource } from './datasets/sentiment.js'
import { stylesSource } from './datasets/styles.js'
import { choicesSource } from './multipleChoice/index.js'
import { preferencesSource } from './preferences/source.js'
import { plainTextSource } from './plainText/index.js'

export const taskSources: ReadonlyArray<TaskSource> = [
  glueSource,
  stylesSource,
  sentimentSource,
  instructionsSource,
  preferencesSource,
  choicesSource,
  plainTextSource,
  labeledFileSource,
]
