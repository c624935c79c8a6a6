/** The table of task types: a new one is a folder beside this file and a line here; looking a type up is taskTypeOf.ts. */
import type { TaskType } from './taskType.js'
import { causalLM } from './texts/taskType.js'
import { choice } from './multipleChoice/index.js'
import { pairs, similarity } from './embeddings/index.js'
import { multiLabel } from './multiLabel/index.js'
import { preference } from './preferences/index.js'
import { regression } from './regression/index.js'
import { singleLabel } from './classification/index.js'
import { tokenClassification } from './tokenClassification/index.js'

export const taskTypes: ReadonlyArray<TaskType> = [
  singleLabel,
  regression,
  multiLabel,
  tokenClassification,
  similarity,
  pairs,
  causalLM,
  preference,
  choice,
]
