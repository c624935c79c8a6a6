/** Evaluation: from a model's and a task's name to a trained, scored adapter on disk. Data and metrics are pure; runs are asynchronous events. */
export { isExpected } from './expectedErrors.js'
export { finetune } from './finetune.js'
export type { FinetuneEvent, FinetuneOptions, RunResult } from './run.js'
export { finetuneJob, UserError } from './finetuneJob.js'
export type { Dataset, Task, TaskOptions } from './data/index.js'
export { loadEvaluation, loadTask } from './data/index.js'
export { accuracy, f1, majorityClass, matthews, pearson, score, spearman } from './metrics/index.js'
