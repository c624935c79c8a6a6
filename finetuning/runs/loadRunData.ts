/** Loads the data of a run by the name of its task. */
import type { LoadedMetric } from '../metrics/metricModule.js'
import { withMetric } from '../tasks/chosenMetric.js'
import { loadTask } from '../tasks/index.js'
import type { FinetuneEvent, RunOptions } from './run.js'
import { ownedData, type RunData } from './runData.js'

/** Loads the task and reports skipped rows. @throws InputError */
export async function* loadRunData({ task }: RunOptions, metric: LoadedMetric | null): AsyncGenerator<FinetuneEvent, RunData> {
  yield { kind: 'preparing', what: `reading ${task.task}` }
  const loaded = await loadTask(task)
  return yield* ownedData(metric === null ? loaded : withMetric(loaded, metric, task.metricForBestModel === undefined))
}
