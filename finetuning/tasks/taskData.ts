/** A task's data for callers: the readers' mistake, which they hand back as a value, is thrown here. */
import { type Either, isLeft } from 'fp-ts/lib/Either.js'
import type { InputError } from '../../accelerated/errors/inputError.js'
import type { Evaluation, Task, TaskOptions } from './task.js'
import * as data from './loadTask.js'

/** Train and evaluation data of a task. @throws Mistake with the first thing that is wrong in it */
export const loadTask = async (options: TaskOptions): Promise<Task> => orThrown(await data.loadTask(options))

/** The evaluation data alone: the task's own, the file `evalData`, or the whole of the file `task`. @throws Mistake */
export const loadEvaluation = async (options: TaskOptions): Promise<Evaluation> => orThrown(await data.loadEvaluation(options))

const orThrown = <Found>(read: Either<InputError, Found>): Found => {
  if (isLeft(read)) throw read.left
  return read.right
}
