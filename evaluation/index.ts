/** Evaluation: from a model's and a task's name to a trained, scored adapter on disk. Data and metrics are pure; runs are asynchronous events. */
export { isExpected } from '../accelerated/errors/expectedErrors.js'
export type { ExportOptions, ExportReport } from '../finetuning/adapters/exportAdapter.js'
export type { ExportFormat } from '../finetuning/adapters/exportFormats.js'
export { exportAdapter } from '../finetuning/adapters/exportAdapter.js'
export { finetune } from '../finetuning/runs/finetune.js'
export type { FinetuneEvent, FinetuneOptions, RunResult } from '../finetuning/runs/run.js'
export { finetuneJob } from '../finetuning/runs/finetuneJob.js'
export type { AnswerEvent, Generator, GeneratorOptions } from '../finetuning/adapters/generator.js'
export { openGenerator } from '../finetuning/adapters/generator.js'
export type { Prompt } from '../finetuning/tokens/prompts.js'
export type { Dataset } from '../finetuning/data/index.js'
export type { Evaluation, Task, TaskOptions } from '../finetuning/tasks/index.js'
export { linesByStyle, readStyles, type Style, type StyleName } from '../finetuning/data/styles.js'
export { loadEvaluation, loadTask } from '../finetuning/tasks/loadTask.js'
export { accuracy, f1, majorityClass, matthews, pearson, score, spearman } from '../finetuning/metrics/index.js'
export type { BleuScore, BleuSettings, BleuStatistics } from './bleu/index.js'
export {
  addStatistics as addBleuStatistics,
  bleuOf,
  bleuSignature,
  bleuStatistics,
  bleuTokenizers,
  corpusBleu,
  noStatistics as noBleuStatistics,
  sentenceBleu,
} from './bleu/index.js'
export { embeddedModel } from '../finetuning/embedded/quickstart.js'
export type { RankPattern } from '../finetuning/adapters/rankPattern.js'
export { rankPatternOfRun } from '../finetuning/adapters/rankPattern.js'
export type { Text, TrainedAdapter, TrainedAdapterOptions } from '../finetuning/adapters/trainedAdapter.js'
export { openTrainedAdapter } from '../finetuning/adapters/trainedAdapter.js'
export type { StyleAnswer, StyleClassifier, StyleClassifierSource } from './styleTransfer/styleClassifier.js'
export { classifyStyles, openStyleClassifier } from './styleTransfer/styleClassifier.js'
export { transferDatasets } from './styleTransfer/index.js'
export {
  styleTransfer,
  type StyleTransferEvent,
  type StyleTransferOptions,
  type StyleTransferResult,
  type TransferSource,
} from './styleTransfer/styleTransfer.js'
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
export { glueSweep, type GlueSweepResult } from './glue/glueSweep.js'
export type { GlueSweepOptions, OnSweepEvent } from './glue/sweepOptions.js'
export { sweeps } from './glue/sweeps/index.js'
