/** Loads the module of a custom metric. Only the command line or a program may name it: a run folder from elsewhere must not run code. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inputError, quoted, reason } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { fileSha256 } from '../../accelerated/storage/digests.js'
import { metricIn, type MetricDefinition } from './customMetric.js'

/** What config.json records of a metric. */
export type StoredMetric = Pick<MetricDefinition, 'name' | 'higherIsBetter'> & { readonly sha256: string }

export type LoadedMetric = { readonly definition: MetricDefinition; readonly file: string; readonly sha256: string }

/** @throws InputError if the file is missing, does not load, or does not export a metric */
export const loadMetric = async (file: string): Promise<LoadedMetric> => {
  const path = resolve(file)
  if (!/\.[cm]?js$/.test(path))
    throw inputError(words`${option('metric')} ${file}`, 'a module whose name ends in .js, .mjs or .cjs', quoted(path))
  const sha256 = await fileSha256(path)
  const exports = (await import(pathToFileURL(path).href).catch((thrown: unknown) => {
    throw inputError(file, 'a module that loads', quoted(reason(thrown), 200))
  })) as Readonly<Record<string, unknown>>
  return { definition: metricIn(exports, file), file, sha256 }
}

/** The custom metric selects the best checkpoint unless another is named, so its own name needs no option. @throws InputError */
export const withMetricModule = async <
  O extends { readonly metric?: string; readonly task: object & { readonly metricForBestModel?: string } },
>(
  options: O,
): Promise<{ readonly options: O; readonly metric: LoadedMetric | null }> => {
  if (options.metric === undefined) return { options, metric: null }
  const metric = await loadMetric(options.metric)
  const { metricForBestModel, ...task } = options.task
  return { options: metricForBestModel === metric.definition.name ? { ...options, task } : options, metric }
}

export const storedMetric = ({ definition: { name, higherIsBetter }, sha256 }: LoadedMetric): StoredMetric => ({
  name,
  higherIsBetter,
  sha256,
})
