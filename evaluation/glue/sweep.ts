/** A sweep: which runs make a table or a figure. A new one is a file in sweeps/ and a line in sweeps/index.ts. */
import type { SettingsInput } from '../../accelerated/training/settings.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'

/** A line of a table, or a point of a figure: what differs from the recipe. */
export type Row = {
  readonly name: string
  readonly settings: SettingsInput
  /** what the user gave this row alone, above what they gave all */
  readonly own?: SettingsInput
}

export type Sweep = {
  /** what --sweep says */
  readonly name: string
  /** a few words for --help */
  readonly summary: string
  /** where --tasks names none */
  readonly tasks: ReadonlyArray<GlueName>
  /** @param methods those of --methods; where none are named, the sweep's own */
  readonly rows: (outline: ModelSpec, methods: ReadonlyArray<Row> | null) => ReadonlyArray<Row>
  /** runs one after another, whatever --jobs says: their times are compared */
  readonly inTurn?: boolean
}
