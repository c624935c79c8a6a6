/** The score of a run in a sweep: Table 1's metric of its task, of the last or of the best evaluation, in percent. */
import { GLUE_TASKS, type GlueName } from '../../finetuning/data/glueTasks.js'
import type { RunResult, Scores } from '../../finetuning/runs/run.js'

/** Which evaluation a table reports. The best one is chosen on the data that it is reported on. */
export type Reported = 'last' | 'best'

export const reportedScores = (reported: Reported, { best, last }: Pick<RunResult, 'best' | 'last'>): Scores =>
  (reported === 'best' ? (best ?? last) : last).scores

/** In percent; NaN if the run does not have this score. */
export const scoreOf = (task: GlueName, reported: Reported, result: Pick<RunResult, 'best' | 'last'>): number =>
  100 * (reportedScores(reported, result)[GLUE_TASKS[task].paperMetric] ?? NaN)
