/** The custom metric of a run: its module, whether it selects the best checkpoint, and what config.json records of it. */
import { loadMetric, type LoadedMetric, type StoredMetric } from '../metrics/metricModule.js'
import type { RunOptions } from './run.js'

/** The custom metric selects the best checkpoint unless another is named, so its own name needs no option. @throws InputError */
export const withMetricModule = async <O extends Pick<RunOptions, 'metric' | 'task'>>(
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
