/** The table of tasks: a new task is a folder beside this file and a line here. */
import type { Task } from './task.js'
import { classification } from './classification/index.js'
import { embeddings } from './embeddings/index.js'
import { instructions } from './instructions/index.js'
import { multiLabelTask } from './multiLabel/index.js'
import { multipleChoice } from './multipleChoice/index.js'
import { plainText } from './plainText/index.js'
import { preferences } from './preferences/index.js'
import { regressionTask } from './regression/index.js'
import { reranking } from './reranking/index.js'
import { tokenClassificationTask } from './tokenClassification/index.js'

export const tasks: readonly Task[] = [
  classification,
  regressionTask,
  multiLabelTask,
  tokenClassificationTask,
  embeddings,
  reranking,
  instructions,
  preferences,
  multipleChoice,
  plainText,
]
