/** The kinds of tasks there are: a new one is a file in tasks/ and a line here. */
import type { TaskKind } from './task.js'
import { alpacaTask } from './kinds/alpacaTask.js'
import { fileTask } from './kinds/fileTask.js'
import { glueTask } from './kinds/glueTask.js'
import { sentimentTask } from './kinds/sentimentTask.js'
import { styleTask } from './kinds/styleTask.js'
import { textTask } from './kinds/textTask.js'

export const tasks: ReadonlyArray<TaskKind> = [glueTask, styleTask, sentimentTask, alpacaTask, textTask, fileTask]
