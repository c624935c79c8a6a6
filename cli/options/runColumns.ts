/** The columns of a run's data, for other data in the same shape. */
import { contentEnding } from '../../finetuning/data/formats.js'
import { looksLikeFile } from '../../finetuning/data/index.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'

type Columns = Pick<TaskOptions, 'text' | 'textPair' | 'label' | 'problemType' | 'labelsAsText' | 'delimiter' | 'quote' | 'encoding'>

const ofColumns = ['text', 'textPair', 'label', 'problemType', 'labelsAsText'] as const
const ofCells = ['delimiter', 'quote', 'encoding'] as const

/**
 * What a run on a file says of another file: the names of its columns. Where the ending is the same, it also says how cells are separated.
 * @param file null: the data has no name, as on standard input
 */
export const columnsOfRun = (task: TaskOptions | null, file: string | null): Columns => {
  if (task === null || !looksLikeFile(task.task)) return {}
  const isSameFormat = file !== null && contentEnding(file) === contentEnding(task.task)
  const names = [...ofColumns, ...(isSameFormat ? ofCells : [])]
  return Object.fromEntries(names.filter((name) => task[name] !== undefined).map((name) => [name, task[name]]))
}
