/** Metrics as the Hugging Face hub calls them, and as people do. */
import type { MetricName } from './score.js'

/** `type`: the name in the hub's registry of metrics */
export type MetricTitle = { readonly type: string; readonly title: string }

const titles: Readonly<Record<MetricName, MetricTitle>> = {
  accuracy: { type: 'accuracy', title: 'Accuracy' },
  accuracyNorm: { type: 'accuracy', title: 'Accuracy (length-normalized)' },
  f1: { type: 'f1', title: 'F1' },
  macroF1: { type: 'f1', title: 'F1 (macro)' },
  microF1: { type: 'f1', title: 'F1 (micro)' },
  precision: { type: 'precision', title: 'Precision' },
  recall: { type: 'recall', title: 'Recall' },
  matthews: { type: 'matthews_correlation', title: "Matthews' correlation" },
  pearson: { type: 'pearsonr', title: "Pearson's correlation" },
  spearman: { type: 'spearmanr', title: "Spearman's correlation" },
  mse: { type: 'mse', title: 'Mean squared error' },
  mae: { type: 'mae', title: 'Mean absolute error' },
  loss: { type: 'loss', title: 'Loss' },
  margin: { type: 'margin', title: 'Reward margin' },
  chosenReward: { type: 'chosen_reward', title: 'Reward of chosen answers' },
  rejectedReward: { type: 'rejected_reward', title: 'Reward of rejected answers' },
  perplexity: { type: 'perplexity', title: 'Perplexity' },
}

/** A metric that is not in the table is called by its own name. */
export const metricTitle = (metric: string): MetricTitle =>
  Object.hasOwn(titles, metric) ? titles[metric as MetricName] : { type: metric, title: metric }
