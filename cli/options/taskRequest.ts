/** Where the examples are, from the flags of a task. */
import { requiredError } from '../../finetuning/commandLine/usageError.js'
import { isPart, mixedFiles, taskFlags, taskNames, type TaskOptions } from '../../finetuning/tasks/index.js'
import { absolutePath } from '../../finetuning/run/absolutePath.js'
import type { Values } from './settingFlags.js'
import { contentExtension } from '../../finetuning/data/formats.js'
import { looksLikeFile } from '../../finetuning/data/index.js'

export const taskFlagNames: readonly string[] = ['task', 'evalData', 'positiveLabel', ...taskFlags.map(({ name }) => name)]

/** Options of a task that only training and inspecting take. */
const trainingNames: readonly string[] = ['testData', 'metricForBestModel']

/** An empty name stays one, which is an error. */
const mixedPath = (file: string): string => (file === '' ? file : absolutePath(file))

/** Paths become absolute, so that a run can be evaluated and resumed from anywhere. @throws UsageError */
export const taskOptions = (values: Values): TaskOptions => {
  const { task } = values
  if (typeof task !== 'string') throw requiredError('--task', 'the name of a task or a file of examples')
  // a named task or part wins over a file of the same name
  const isPath = (name: string, value: unknown): boolean =>
    name === 'data' ||
    (['evalData', 'testData'].includes(name) && !isPart(task, String(value))) ||
    (name === 'task' && !taskNames.includes(String(value)))
  const given = [...taskFlagNames, ...trainingNames].filter((name) => values[name] !== undefined)
  const absolute = (name: string, value: unknown): unknown => {
    if (name === 'mixData') return (Array.isArray(value) ? value.map(String) : mixedFiles(String(value))).map(mixedPath)
    return isPath(name, value) ? absolutePath(String(value)) : value
  }
  return Object.fromEntries(given.map((name) => [name, absolute(name, values[name])])) as TaskOptions
}

// The columns of a run's data, for other data in the same shape.
type Columns = Pick<
  TaskOptions,
  'text' | 'textPair' | 'label' | 'problemType' | 'labelsAsText' | 'mergeLabels' | 'matryoshka' | 'delimiter' | 'quote' | 'encoding'
>

const ofColumns = ['text', 'textPair', 'label', 'problemType', 'labelsAsText', 'mergeLabels', 'matryoshka'] as const
const ofCells = ['delimiter', 'quote', 'encoding'] as const

/**
 * What a run on a file says of another file: the names of its columns. Where the ending is the same, it also says how cells are separated.
 * @param file null: the data has no name, as on standard input
 */
export const inheritColumns = (task: TaskOptions | null, file: string | null): Columns => {
  if (task === null || !looksLikeFile(task.task)) return {}
  const isSameFormat = file !== null && contentExtension(file) === contentExtension(task.task)
  const names = [...ofColumns, ...(isSameFormat ? ofCells : [])]
  return Object.fromEntries(names.filter((name) => task[name] !== undefined).map((name) => [name, task[name]]))
}
