/** The prompt template of a task whose options name none: the model's own chat template, if it has one. */
import { loadChatTemplate } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'
import type { TaskOptions } from './task.js'
import { taskSources } from './sources/index.js'

/** Whether the task frames instructions in a template. */
export const takesPromptTemplate = (task: string): boolean =>
  taskSources.find(({ recognizes }) => recognizes(task))?.flags?.some(({ name }) => name === 'promptTemplate') === true

/** Whether the choice of a template is left to the model. */
export const leavesPromptTemplate = ({ task, promptTemplate }: TaskOptions): boolean =>
  promptTemplate === undefined && takesPromptTemplate(task)

/** The options with the template that the model's folder implies. @throws InputError for a chat template that cannot be read */
export const withModelTemplate = async (options: TaskOptions, folder: string): Promise<TaskOptions> =>
  leavesPromptTemplate(options) && (await loadChatTemplate(folder)) !== null ? { ...options, promptTemplate: 'chat' } : options
