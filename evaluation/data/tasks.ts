/** The kinds of tasks there are: a new one is a file in tasks/ and a line here. */
import type { TaskKind } from './task.js'
import { alpacaTask } from './tasks/alpacaTask.js'
import { fileTask } from './tasks/fileTask.js'
import { glueTask } from './tasks/glueTask.js'
import { sentimentTask } from './tasks/sentimentTask.js'
import { styleTask } from './tasks/styleTask.js'
import { textTask } from './tasks/textTask.js'

export const tasks: ReadonlyArray<TaskKind> = [glueTask, styleTask, sentimentTask, alpacaTask, textTask, fileTask]
