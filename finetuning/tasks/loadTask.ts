/** Loads a task by its name or file: finds its source in the table and applies the options that every task has. */
import { alternatives } from '../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { Dataset } from '../data/dataset.js'
import { loadFromSource, withChosenMetrics } from './loadFromSource.js'
import type { Evaluation, LoadedTask, TaskSource, TaskOptions } from './task.js'
import { withLocalFiles } from './files/localFiles.js'
import { taskSources } from './sources.js'
import { checkTaskOptions, taskFlags } from './taskFlags.js'
import { loadChatTemplate, readChatTemplate, writesDate } from '../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { localDate } from '../../accelerated/checkpoints/chatTemplate/templateDate.js'

/** Every task that has a name. */
export const taskNames: readonly string[] = taskSources.flatMap(({ names }) => names)

/** Whether `evalData` is the name of a part of the task's own data, whatever file has that name. */
export const isPart = (task: string, evalData: string): boolean =>
  taskSources.find(({ recognizes }) => recognizes(task))?.parts?.includes(evalData) === true

/** Checks a task and its options without reading data. @throws InputError for an unknown task, an unknown option, and an option of another task */
export const checkTask = (options: TaskOptions): void => void findSource(options)

/** The training and evaluation data of a task. @throws InputError for the first thing wrong */
export const loadTask = async (options: TaskOptions): Promise<LoadedTask> => {
  const source = findSource(options)
  return loadFromSource(source, await withLocalFiles(source, options))
}

/** Only the evaluation data: the task's own, the file `evalData`, or the whole file `task`. @throws InputError */
export const loadEvaluation = async (options: TaskOptions): Promise<Evaluation> => {
  const source = findSource(options)
  const task = await source.loadEvaluation(await withLocalFiles(source, options))
  return withChosenMetrics(task, task.evaluation.labelNames, options)
}

/** The sets of a task, each whole. Of the user's file, nothing is held out. */
export type LoadedSets = Pick<
  LoadedTask,
  'taskType' | 'metrics' | 'selectionMetric' | 'positive' | 'labelNames' | 'text' | 'preference'
> & {
  readonly sets: { readonly training: Dataset; readonly evaluation?: Dataset; readonly test?: Dataset }
}

/** Reads everything that a run would read, and holds out nothing. @throws InputError */
export const loadSets = async (options: TaskOptions): Promise<LoadedSets> => {
  const { evalData, testData, ...others } = options
  if (findSource(options).isOneFile !== true) {
    const { train, evaluation, test, ...task } = await loadTask(options)
    return { ...task, sets: { training: train, evaluation, ...(test === undefined ? {} : { test }) } }
  }
  const { evaluation: whole, ...task } = await loadEvaluation(others)
  const { labelNames } = whole
  const read = async (file: string): Promise<Dataset> =>
    (await loadEvaluation({ ...others, evalData: file, ...(labelNames === null ? {} : { labelNames }) })).evaluation
  return {
    ...{ ...task, labelNames },
    sets: {
      training: whole,
      ...(evalData === undefined ? {} : { evaluation: await read(evalData) }),
      ...(testData === undefined ? {} : { test: await read(testData) }),
    },
  }
}

/** @throws InputError for an unknown task, an unknown option, and an option of another source */
const findSource = (options: TaskOptions): TaskSource => {
  checkTaskOptions(options)
  const { task } = options
  const source = taskSources.find(({ recognizes }) => recognizes(task))
  if (source === undefined) throw inputError(option('task'), listTasks(), quoted(task))
  const stray = taskFlags.find(({ name }) => options[name] !== undefined && source.flags?.some((flag) => flag.name === name) !== true)
  if (stray !== undefined)
    throw inputError(option(stray.name), words`none with ${option('task')} ${task}`, quoted(String(options[stray.name])))
  return source
}

const listTasks = (): string =>
  [alternatives(taskNames, Infinity), ...taskSources.filter(({ names }) => names.length === 0).map(({ help }) => help)].join(', or ')

// What the model decides where a task's options do not: the prompt template, and with a chat template truncation by turns.
const takes = (task: string, option: keyof TaskOptions): boolean =>
  taskSources.find(({ recognizes }) => recognizes(task))?.flags?.some(({ name }) => name === option) === true

/** Whether the task frames instructions in a template. */
export const takesPromptTemplate = (task: string): boolean => takes(task, 'promptTemplate')

/** Whether the choice of a template is left to the model. */
export const leavesPromptTemplate = ({ task, promptTemplate }: TaskOptions): boolean =>
  promptTemplate === undefined && takesPromptTemplate(task)

/** The options with what the model's folder implies. @throws InputError for a chat template that cannot be read */
export const withModelTemplate = async (options: TaskOptions, folder: string): Promise<TaskOptions> => {
  if (!takesPromptTemplate(options.task)) return options
  const { promptTemplate, truncation, templateDate } =
    leavesPromptTemplate(options) && (await loadChatTemplate(folder)) !== null ? { ...options, promptTemplate: 'chat' } : options
  const isDated = promptTemplate === 'chat' && writesDate((await readChatTemplate(folder)).text ?? '')
  if (templateDate !== undefined && promptTemplate === 'chat' && !isDated)
    throw inputError(option('templateDate'), "none, as the model's chat template writes no date", quoted(templateDate))
  return {
    ...options,
    ...(promptTemplate === undefined ? {} : { promptTemplate }),
    ...(isDated ? { templateDate: templateDate ?? localDate() } : {}),
    ...(promptTemplate === 'chat' && truncation === undefined && takes(options.task, 'truncation') ? { truncation: 'turns' } : {}),
  }
}

/** The options as an earlier run began with them. A run of a version without one of these choices keeps the default of that version. */
export const withEarlierTemplate = (earlier: TaskOptions, options: TaskOptions): TaskOptions => {
  if (!takesPromptTemplate(options.task)) return options
  const { promptTemplate, truncation, templateDate } = earlier
  return {
    ...(promptTemplate === undefined ? {} : { promptTemplate }),
    ...(truncation === undefined ? {} : { truncation }),
    ...(templateDate === undefined ? {} : { templateDate }),
    ...options,
  }
}
