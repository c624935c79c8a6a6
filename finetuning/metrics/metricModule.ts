/** Loads the module of a custom metric. Only the command line or a program may name it: a run folder from elsewhere must not run code. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inputError, quoted, reason } from '../../accelerated/errors/inputError.js'
import { fileSha256 } from '../../accelerated/storage/sha256.js'
import { metricIn, type MetricDefinition } from './customMetric.js'
import type { MetricName } from './score.js'

/** What config.json records of a metric. */
export type StoredMetric = Pick<MetricDefinition, 'name' | 'higherIsBetter'> & { readonly sha256: string }

export type LoadedMetric = { readonly definition: MetricDefinition; readonly file: string; readonly sha256: string }

/** @throws InputError if the file is missing, does not load, or does not export a metric */
export const loadMetric = async (file: string): Promise<LoadedMetric> => {
  const path = resolve(file)
  if (!/\.[cm]?js$/.test(path)) throw inputError(`--metric ${file}`, 'a module whose name ends in .js, .mjs or .cjs', quoted(path))
  const sha256 = await fileSha256(path)
  const exports = (await import(pathToFileURL(path).href).catch((thrown: unknown) => {
    throw inputError(file, 'a module that loads', quoted(reason(thrown), 200))
  })) as Readonly<Record<string, unknown>>
  return { definition: metricIn(exports, file), file, sha256 }
}

/** The majority-class baseline, and the detection of constant predictions. */

export type MajorityClass = {
  readonly label: number
  readonly count: number
  /** The accuracy of always answering `label`, in [0, 1]. */
  readonly share: number
}

/** The most frequent label; among equals, the smallest. @throws Error if there is no label */
export const majorityClass = (labels: ReadonlyArray<number>): MajorityClass => {
  const counts = new Map<number, number>()
  labels.forEach((label) => counts.set(label, (counts.get(label) ?? 0) + 1))
  const [first] = Array.from(counts).sort(([a, m], [b, n]) => n - m || a - b)
  if (first === undefined) throw new Error('majorityClass: expected at least one label, got none')
  const [label, count] = first
  return { label, count, share: count / labels.length }
}

/**
 * The one value that all predictions share. It is null if they differ by more than `tolerance` (in the predictions' units; 0 for
 * classes), or if there are fewer than two. It detects a collapsed training whose accuracy looks fair.
 */
export const constantPrediction = (predictions: ReadonlyArray<number>, tolerance = 0): number | null => {
  const [first] = predictions
  if (first === undefined || predictions.length < 2) return null
  const [least, most] = predictions.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [first, first])
  return most - least <= tolerance ? first : null
}

// Metrics as the Hugging Face hub calls them, and as people do.
/** `type`: the name in the hub's registry of metrics */
type MetricTitle = { readonly type: string; readonly title: string }

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
