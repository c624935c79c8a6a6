/** The table of task sources: where a task's data come from. A new source is one file in this folder and one line here; task types are in ../taskTypes. */
import type { TaskSource } from '../task.js'
import { instructionsSource } from './instructions.js'
import { labeledFileSource } from './labeledFile.js'
import { glueSource } from './glue.js'
import { sentimentSource } from './sentiment.js'
import { stylesSource } from './styles.js'
import { choicesSource } from './choices.js'
import { preferencesSource } from './preferences.js'
import { plainTextSource } from './plainText.js'

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
