/** Evaluation: from a model's and a task's name to a trained, scored adapter on disk. Data and metrics are pure; runs are asynchronous events. */
export { isExpected } from './expectedErrors.js'
export type { ExportFormat, ExportOptions, ExportReport } from './exportAdapter.js'
export { exportAdapter } from './exportAdapter.js'
export { finetune } from './finetune.js'
export type { FinetuneEvent, FinetuneOptions, RunResult } from './run.js'
export { finetuneJob } from './finetuneJob.js'
export type { AnswerEvent, Generator, GeneratorOptions } from './generator.js'
export { openGenerator } from './generator.js'
export type { Prompt } from './prompts.js'
export { UserError } from './userError.js'
export type { Dataset, Evaluation, Task, TaskOptions } from './data/index.js'
export { loadEvaluation, loadTask } from './taskData.js'
export { accuracy, f1, majorityClass, matthews, pearson, score, spearman } from './metrics/index.js'
export { embeddedModel } from './quickstart.js'
export type { RankPattern } from './rankPattern.js'
export { rankPatternOfRun } from './rankPattern.js'
export type { Text, TrainedAdapter, TrainedAdapterOptions } from './trainedAdapter.js'
export { openTrainedAdapter } from './trainedAdapter.js'
export type {
  BackoffModel,
  DiscountReport,
  Discounts,
  NgramFormat,
  NgramOptions,
  NgramPhase,
  NgramScorer,
  NgramWatch,
  SentenceScore,
  TextScore,
  TextSource,
  TrainedNgram,
  WordScore,
} from './ngram/index.js'
export {
  defaultFallback,
  fileSource,
  highestTrainedOrder,
  ngramFormatOf,
  ngramFormats,
  ngramScorer,
  openNgramModel,
  textScore,
  trainNgram,
  writeNgramModel,
} from './ngram/index.js'
