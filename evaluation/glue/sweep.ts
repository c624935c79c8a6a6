/** A sweep: the runs of a table or a figure. A new one is a file in sweeps/ and a line in sweeps/index.ts. */
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'

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
