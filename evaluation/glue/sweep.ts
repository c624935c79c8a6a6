/** A sweep: the runs of a table or a figure. A new one is a file in sweeps/ and a line in sweeps/index.ts. */
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import { type GlueName, GLUE_TASKS } from '../../finetuning/data/glueTasks.js'
import type { RunCell } from '../cells/cellFolder.js'
import type { RunResult, Scores } from '../../finetuning/runs/run.js'

/** A row of a table, or a point of a figure: the settings that differ from the recipe. */
export type Row = {
  readonly name: string
  readonly settings: SettingsInput
  /** settings that the user gave this row; they override those for all rows */
  readonly overrides?: SettingsInput
}

export type Sweep = {
  /** the value of --sweep */
  readonly name: string
  /** a few words for --help */
  readonly summary: string
  /** the tasks without --tasks */
  readonly tasks: ReadonlyArray<GlueName>
  /** @param methods the rows of --methods; null: the sweep's own */
  readonly rows: (spec: ModelSpec, methods: ReadonlyArray<Row> | null) => ReadonlyArray<Row>
  /** run one after another, whatever --jobs says: the table compares their times */
  readonly inTurn?: boolean
}

/** A cell of a sweep over GLUE: a run, and its row, task and seed. */
export type Cell = RunCell & {
  /** the table's row: a method, or a method with changed settings */
  readonly row: string
  readonly task: GlueName
  readonly seed: number
}

// The score of a run in a sweep: Table 1's metric of its task, of the last or of the best evaluation, in percent.
/** Which evaluation a table reports. The best one is chosen on the data that it is reported on. */
export type Reported = 'last' | 'best'

export const reportedScores = (reported: Reported, { best, last }: Pick<RunResult, 'best' | 'last'>): Scores =>
  (reported === 'best' ? (best ?? last) : last).scores

/** In percent; NaN if the run does not have this score. */
export const scoreOf = (task: GlueName, reported: Reported, result: Pick<RunResult, 'best' | 'last'>): number =>
  100 * (reportedScores(reported, result)[GLUE_TASKS[task].paperMetric] ?? NaN)
