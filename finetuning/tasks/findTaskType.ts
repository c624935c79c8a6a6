/** Looks up a task type by its stored name, or by a model's head. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { TaskType } from './taskType.js'
import { tasks } from './table.js'

/** The types of all tasks, each once. */
export const taskTypes: readonly TaskType[] = [...new Set(tasks.flatMap(({ types }) => types))]

/** undefined: no task type of this version has the name */
export const findTaskTypeByName = (name: string | undefined): TaskType | undefined => taskTypes.find((taskType) => taskType.name === name)

/**
 * The task type that a model was trained for: the one that its files name, else the one that its head implies.
 * @param where the folder of the model or the adapter, in messages @throws InputError if no task type has the stored name
 */
export const findTaskType = (outputs: ModelOutputs, where: string): TaskType => {
  const name = outputs.taskType
  const taskType = name === undefined ? taskTypes.find(({ isImpliedBy }) => isImpliedBy(outputs)) : findTaskTypeByName(name)
  if (taskType === undefined)
    throw inputError(
      where,
      `one of the task types ${taskTypes.map((known) => known.name).join(', ')}`,
      name === undefined ? 'none' : quoted(name),
    )
  return taskType
}
