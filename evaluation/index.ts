/** Evaluation: from a model's and a task's name to a trained, scored adapter on disk. Data and metrics are pure; runs are asynchronous events. */
export { isExpected } from './expectedErrors.js'
export type { ExportFormat, ExportOptions, ExportReport } from './adapters/exportAdapter.js'
export { exportAdapter } from './adapters/exportAdapter.js'
export { finetune } from './runs/finetune.js'
export type { FinetuneEvent, FinetuneOptions, RunResult } from './runs/run.js'
export { finetuneJob } from './runs/finetuneJob.js'
export type { AnswerEvent, Generator, GeneratorOptions } from './adapters/generator.js'
export { openGenerator } from './adapters/generator.js'
export type { Prompt } from './tokens/prompts.js'
export { UserError } from './userError.js'
export type { Dataset, Evaluation, Task, TaskOptions } from './data/index.js'
export { linesByStyle, readStyles, type Style, type StyleName } from './data/styles.js'
export { loadEvaluation, loadTask } from './taskData.js'
export { accuracy, f1, majorityClass, matthews, pearson, score, spearman } from './metrics/index.js'
export type { BleuScore, BleuSettings, BleuStatistics } from './metrics/bleu/index.js'
export {
  addStatistics as addBleuStatistics,
  bleuOf,
  bleuSignature,
  bleuStatistics,
  bleuTokenizers,
  corpusBleu,
  noStatistics as noBleuStatistics,
  sentenceBleu,
} from './metrics/bleu/index.js'
export { embeddedModel } from './quickstart.js'
export type { RankPattern } from './adapters/rankPattern.js'
export { rankPatternOfRun } from './adapters/rankPattern.js'
export type { Text, TrainedAdapter, TrainedAdapterOptions } from './adapters/trainedAdapter.js'
export { openTrainedAdapter } from './adapters/trainedAdapter.js'
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
export { glueSweep, type GlueSweepOptions, type GlueSweepResult, type SweepTeller } from './sweep/glueSweep.js'
export { sweeps } from './sweep/sweeps/index.js'
