/** The paper's evaluation: GLUE sweeps, style transfer, BLEU and n-gram models; and the search for settings on one's own data. Training and using adapters is finetuning/. */
export { linesByStyle, readStyles, type Style, type StyleName } from '../finetuning/data/styles.js'
export type { BleuScore, BleuSettings, BleuStatistics } from './bleu/bleu.js'
export {
  addStatistics as addBleuStatistics,
  computeBleu,
  bleuSignature,
  bleuStatistics,
  bleuTokenizers,
  corpusBleu,
  noStatistics as noBleuStatistics,
  sentenceBleu,
} from './bleu/bleu.js'
export type { StyleAnswer, StyleClassifier, StyleClassifierSource } from './styleTransfer/styleClassifier.js'
export { classifyStyles, openStyleClassifier } from './styleTransfer/styleClassifier.js'
export { transferDatasets } from './styleTransfer/datasets.js'
export { styleTransfer } from './styleTransfer/styleTransfer.js'
export type { StyleTransferEvent, StyleTransferOptions, StyleTransferResult, TransferSource } from './styleTransfer/transfers.js'
export type { BackoffModel } from './ngram/backoffModel.js'
export type { DiscountReport, Discounts } from './ngram/kneserNey.js'
export type { NgramOptions, NgramPhase, NgramWatch, TrainedNgram } from './ngram/trainNgram.js'
export type { NgramScorer, SentenceScore, TextScore, WordScore } from './ngram/scorer.js'
export type { TextSource } from './ngram/textLines.js'
export { defaultFallback } from './ngram/kneserNey.js'
export { fileSource } from './ngram/textLines.js'
export { highestTrainedOrder, trainNgram } from './ngram/trainNgram.js'
export { ngramScorer, textScore } from './ngram/scorer.js'
export { openNgramModel, writeNgramModel } from './ngram/modelFile.js'
export { glueSweep, type GlueSweepResult } from './glue/glueSweep.js'
export type { GlueSweepOptions, OnSweepEvent } from './glue/plan.js'
export { sweeps } from './glue/sweep.js'
export { tune, type Trial, type TuneEvent, type TuneOptions, type TuneResult } from './tune/tune.js'
