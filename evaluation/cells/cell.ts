/** A cell: one run of a sweep or of a search. */
import type { StoredMetric } from '../../finetuning/metrics/metricModule.js'
import type { RunOptions } from '../../finetuning/runs/run.js'
import type { RunInputs } from '../../finetuning/runs/runFingerprint.js'

export type RunCell = {
  /** names the run's folder and its lines in logs: `mrpc.salora.seed-0` */
  readonly id: string
  readonly options: Omit<RunOptions, 'output' | 'resume'>
  /** the digests that the run's inputs must have; absent: any */
  readonly inputs?: RunInputs
  /** what config.json must record of the module in `options.metric` */
  readonly metric?: StoredMetric
}
