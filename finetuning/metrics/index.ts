/** Metrics of predictions against labels: pure functions of two lists. No data, no model, no task. */
export { accuracy, confusionMatrix, f1, f1Of, macroF1, matthews, reportByClass, type ClassReport } from './classification.js'
export { pearson, spearman } from './correlation.js'
export { constantPrediction, majorityClass, type MajorityClass } from './baseline.js'
export { entitiesOf, iob2, outside, parseTag, reportByType, scoreEntities, tagOf, type Entity } from './entities.js'
export { predictedSets, reportBySets, scoreSets, type LabelSets } from './labelSets.js'
export { choiceMetrics, scoreChoices } from './choices.js'
export { crossEntropy, mae, mse } from './losses.js'
export { metricTitle } from './metricTitles.js'
export { findSeconds, scorePairs } from './pairScores.js'
export { preferenceMetrics, scorePreferences } from './preferences.js'
export { scoreRatedAnswers } from './ratedAnswers.js'
export { scoreTexts } from './text.js'
export {
  isLowerBetter,
  isPredictionMetric,
  METRICS,
  score,
  secondSetMetric,
  selectionScore,
  type Metric,
  type MetricName,
  type MetricScores,
  type SelectionMetric,
} from './score.js'
