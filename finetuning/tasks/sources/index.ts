/** The kinds of tasks there are: a new one is a file in tasks/ and a line here. */
import type { TaskSource } from '../task.js'
import { instructionsSource } from './instructions.js'
import { labeledFileSource } from './labeledFile.js'
import { glueSource } from './glue.js'
import { sentimentSource } from './sentiment.js'
import { stylesSource } from './styles.js'
import { plainTextSource } from './plainText.js'

export const taskSources: ReadonlyArray<TaskSource> = [
  glueSource,
  stylesSource,
  sentimentSource,
  instructionsSource,
  plainTextSource,
  labeledFileSource,
]
