/** Metrics of predictions against labels: pure functions of two lists. No data, no model, no task. */
export { accuracy, confusionMatrix, f1, f1ForClass, macroF1, matthews, reportByClass, type ClassReport } from './classification.js'
export { pearson, spearman } from './correlation.js'
export { constantPrediction, majorityClass, type MajorityClass } from './classification.js'
export { labelIssues } from './confidence.js'
export { crossEntropy, mae, mse } from './losses.js'
export { metricTitle } from './score.js'
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
