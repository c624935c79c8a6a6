/** BLEU, the share of n-grams that translations have in common with human ones: tokenizers, counts, smoothing, score. */
export { bleuDefaults, bleuOf, bleuSignature, bleuStatistics, corpusBleu, sentenceBleu, type BleuSettings } from './corpusBleu.js'
export { bleuSmoothings, smoothValues, type BleuScore, type BleuSmoothing } from './smoothing.js'
export { addStatistics, noStatistics, type BleuStatistics } from './statistics.js'
export { bleuTokenizers, type BleuTokenizer } from './tokenizers.js'
