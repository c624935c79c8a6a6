/** A task by its name or file, looked up among the kinds that there are. */
import * as E from 'fp-ts/lib/Either.js'
import { type Mistake, mistake, quoted } from '../../accelerated/files/mistake.js'
import type { Evaluation, Task, TaskKind, TaskOptions } from './task.js'
import { tasks } from './tasks.js'
import { oneOf } from './wording.js'

/** Every task that has a name. */
export const taskNames: ReadonlyArray<string> = tasks.flatMap(({ names }) => names)

/** Train and evaluation data of a task, or the first mistake met. */
export const loadTask = async (options: TaskOptions): Promise<E.Either<Mistake, Task>> => {
  const kind = kindOf(options.task)
  return E.isLeft(kind) ? kind : kind.right.load(options)
}

/** The evaluation data alone, for a model already trained: the task's own, the file `evalData`, or the whole of the file `task`. */
export const loadEvaluation = async (options: TaskOptions): Promise<E.Either<Mistake, Evaluation>> => {
  const kind = kindOf(options.task)
  return E.isLeft(kind) ? kind : kind.right.loadEvaluation(options)
}

const kindOf = (task: string): E.Either<Mistake, TaskKind> => {
  const kind = tasks.find(({ recognises }) => recognises(task))
  return kind === undefined ? E.left(mistake('--task', known(), quoted(task))) : E.right(kind)
}

/** All names, and what the tasks without a name are. */
const known = (): string =>
  [oneOf(taskNames, Infinity), ...tasks.filter(({ names }) => names.length === 0).map(({ help }) => help)].join(', or ')
