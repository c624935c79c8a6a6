/**
 * BLEU: tokenizers, counts, smoothing, score.
 *
 * Preparation of texts for one evaluation, such as lower case and NLTK's words for style transfer, belongs to that evaluation.
 */
export { bleuDefaults, bleuOf, bleuSignature, bleuStatistics, corpusBleu, sentenceBleu, type BleuSettings } from './corpusBleu.js'
export { bleuSmoothings, smoothValues, type BleuScore, type BleuSmoothing } from './smoothing.js'
export { addStatistics, noStatistics, type BleuStatistics } from './statistics.js'
export { bleuTokenizers, type BleuTokenizer } from './tokenizers.js'
