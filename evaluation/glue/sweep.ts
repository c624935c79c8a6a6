/** A sweep: the runs of a table or a figure. A new one is a file in sweeps/ and a line in sweeps/index.ts. */
import type { SettingsInput, MethodName } from '../../accelerated/settings/settingsInput.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import { type GlueName, GLUE_TASKS } from '../../finetuning/data/glueTasks.js'
import type { RunCell } from '../cells/cellFolder.js'
import type { RunResult, Scores } from '../../finetuning/run/run.js'
import { methods } from '../../accelerated/methods/index.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { Setting } from '../../accelerated/settings/setting.js'
import { methodOf, settingsOfMethod } from '../../accelerated/training/settings.js'
import { flagOf } from '../../finetuning/commandLine/shell.js'
import { decimal } from '../../finetuning/data/dataset.js'

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
  readonly tasks: readonly GlueName[]
  /** @param methods the rows of --methods; null: the sweep's own */
  readonly rows: (spec: ModelSpec, methods: readonly Row[] | null) => readonly Row[]
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

/**
 * Rows by the names of --methods: a method (`lora`), a method with a rank (`lora-4`), or one with settings (`salora:retain=random:beta=0.2`).
 * With a rank, alpha is twice the rank, so that the scale stays.
 */
const names: readonly string[] = methods.map(({ name }) => name)

/** @throws InputError for an unknown method, a rank of a method without one, or an unknown setting */
export const rowOf = (name: string): Row => {
  const [method = '', ...changes] = name.split(':')
  const settings = methodSettings(method)
  if (settings === null)
    throw inputError('--methods', `one or more of ${names.join(', ')}, or a low-rank method with a rank such as lora-4`, quoted(name))
  const overrides = Object.fromEntries(changes.map((change) => parseChange(name, settings.method ?? '', change)))
  return { name, settings, ...(changes.length > 0 ? { overrides } : {}) }
}

/** α = 2r, the ratio of the default r = 8 and α = 16. */
export const withRank = (method: MethodName, rank: number): SettingsInput => ({ method, rank, loraAlpha: 2 * rank })

/** null for an unknown name */
const methodSettings = (name: string): SettingsInput | null => {
  if (names.includes(name)) return { method: name as MethodName }
  const [, method = '', rank = ''] = /^([a-z]+)-([1-9]\d{0,3})$/.exec(name) ?? []
  const settings = methods.find((one) => one.name === method)?.settings
  return settings !== undefined && Object.hasOwn(settings, 'rank') ? withRank(method as MethodName, Number(rank)) : null
}

/** `learning-rate=1e-4`, by the name of the flag. The range of the value is checked with all settings. */
const parseChange = (row: string, method: string, change: string): readonly [string, unknown] => {
  const [, flag = '', value = ''] = /^([a-z][a-z0-9-]*)=(.+)$/.exec(change) ?? []
  const entry = Object.entries(settingsOfMethod(methodOf(method))).find(([name]) => flagOf(name) === `--${flag}`)
  if (entry === undefined || entry[0] === 'seed' || entry[1].kind === 'file')
    throw inputError('--methods', `settings of ${method} after a colon, such as ${method}:learning-rate=1e-4`, quoted(row))
  return [entry[0], parseValue(row, entry[1], value)]
}

const parseValue = (row: string, { kind }: Setting, value: string): unknown => {
  if (kind === 'number') {
    const number = decimal(value)
    if (number === null) throw inputError('--methods', 'a number after =', quoted(row))
    return number
  }
  if (kind === 'textOrNumber') return decimal(value) ?? value
  if (kind === 'list') return value.split('+')
  if (kind === 'switch') {
    if (value !== 'true' && value !== 'false') throw inputError('--methods', 'true or false after =', quoted(row))
    return value === 'true'
  }
  return value
}
