/** Metrics of predictions against labels: pure functions of two lists of numbers, greater is better. No data, no model. */
export { accuracy, f1, matthews } from './classification.js'
export { pearson, spearman } from './correlation.js'
export { constantPrediction, majorityClass, type MajorityClass } from './baseline.js'
export { METRICS, score, selectionScore, type Metric, type MetricName, type MetricScores, type SelectionMetric } from './score.js'
