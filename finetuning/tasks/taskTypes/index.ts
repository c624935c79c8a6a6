/** The table of task types: a new one is a file in this folder and a line here. Reading data is sources/; looking a type up is taskTypeOf.ts. */
import type { TaskType } from '../taskType.js'
import { causalLM } from './causalLM.js'
import { choice } from './choice.js'
import { pairs, similarity } from './embeddings.js'
import { multiLabel } from './multiLabel.js'
import { preference } from './preference.js'
import { regression } from './regression.js'
import { singleLabel } from './singleLabel.js'
import { tokenClassification } from './tokenClassification.js'

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
