/** The paper's evaluation: GLUE sweeps, style transfer, BLEU and n-gram models; and the search for settings on one's own data. Training and using adapters is finetuning/. */
export { linesByStyle, readStyles, type Style, type StyleName } from '../finetuning/data/styles.js'
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
export type { StyleAnswer, StyleClassifier, StyleClassifierSource } from './styleTransfer/styleClassifier.js'
export { classifyStyles, openStyleClassifier } from './styleTransfer/styleClassifier.js'
export { transferDatasets } from './styleTransfer/index.js'
export { styleTransfer } from './styleTransfer/styleTransfer.js'
export type { StyleTransferEvent, StyleTransferOptions, StyleTransferResult, TransferSource } from './styleTransfer/contract.js'
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
export type { GlueSweepOptions, OnSweepEvent } from './glue/plan.js'
export { sweeps } from './glue/sweeps/index.js'
export { tune, type Trial, type TuneEvent, type TuneOptions, type TuneResult } from './tune/tune.js'
