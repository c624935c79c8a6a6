/** What the model decides where a task's options do not: the prompt template, and with a chat template truncation by turns. */
import { loadChatTemplate } from '../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import type { TaskOptions } from './task.js'
import { taskSources } from './sources.js'

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
  const { promptTemplate, truncation } =
    leavesPromptTemplate(options) && (await loadChatTemplate(folder)) !== null ? { ...options, promptTemplate: 'chat' } : options
  return {
    ...options,
    ...(promptTemplate === undefined ? {} : { promptTemplate }),
    ...(promptTemplate === 'chat' && truncation === undefined && takes(options.task, 'truncation') ? { truncation: 'turns' } : {}),
  }
}

/** The options as an earlier run began with them. A run of a version without one of these choices keeps the default of that version. */
export const withTemplateOf = (earlier: TaskOptions, options: TaskOptions): TaskOptions => {
  if (!takesPromptTemplate(options.task)) return options
  const { promptTemplate, truncation } = earlier
  return { ...(promptTemplate === undefined ? {} : { promptTemplate }), ...(truncation === undefined ? {} : { truncation }), ...options }
}
