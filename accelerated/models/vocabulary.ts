/** A model whose vocabulary is longer than its tables: the rows of the other words come from a method. */
import type { Model } from './architecture.js'

/** @param vocabularySize at least the model's own */
export const withVocabulary = (model: Model, vocabularySize: number): Model => ({
  ...model,
  vocabularySize,
  withDropout: (probability) => withVocabulary(model.withDropout(probability), vocabularySize),
})
