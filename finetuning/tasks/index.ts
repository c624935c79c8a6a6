/** Tasks: what to train and evaluate on, and how it is scored. Reading files is data/; training is run/. */
export { checkTask, isPart, loadEvaluation, loadSets, loadTask, taskNames } from './loadTask.js'
export { leavesPromptTemplate, takesPromptTemplate, withModelTemplate, withEarlierTemplate } from './loadTask.js'
export { mixedFiles } from './files/mixture.js'
export { taskFlags } from './taskFlags.js'
export { taskSources } from './sources.js'
export type { LoadedSets } from './loadTask.js'
export type { Evaluation, Scoring, LoadedTask, TaskFlag, TaskName, TaskOptions, TaskSource } from './task.js'
