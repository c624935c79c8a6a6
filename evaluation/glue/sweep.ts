/** Sweeps: the runs of a table or a figure. A new one is a value and an entry of `sweeps`. */
import type { SettingsInput, MethodName } from '../../accelerated/settings/settingsInput.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import { type GlueName, GLUE_TASKS, GLUE_NAMES } from '../../finetuning/data/glueTasks.js'
import type { RunCell } from '../jobs/jobFolder.js'
import type { RunResult, Scores } from '../../finetuning/run/run.js'
import { methods } from '../../accelerated/methods/index.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { Setting } from '../../accelerated/settings/setting.js'
import { findMethod, buildSettingTable } from '../../accelerated/training/resolveSettings.js'
import { toKebab } from '../../finetuning/commandLine/optionNames.js'
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
export const findScore = (task: GlueName, reported: Reported, result: Pick<RunResult, 'best' | 'last'>): number =>
  100 * (reportedScores(reported, result)[GLUE_TASKS[task].paperMetric] ?? NaN)

/**
 * Rows by the names of --methods: a method (`lora`), a method with a rank (`lora-4`), or one with settings (`salora:retain=random:beta=0.2`).
 * With a rank, alpha is twice the rank, so that the scale stays.
 */
const names: readonly string[] = methods.map(({ name }) => name)

/** @throws InputError for an unknown method, a rank of a method without one, or an unknown setting */
export const parseRow = (name: string): Row => {
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

/** `learning-rate=1e-4`, by the name as --set has it. The range of the value is checked with all settings. */
const parseChange = (row: string, method: string, change: string): readonly [string, unknown] => {
  const [, flag = '', value = ''] = /^([a-z][a-z0-9-]*)=(.+)$/.exec(change) ?? []
  const entry = Object.entries(buildSettingTable(findMethod(method))).find(([name]) => toKebab(name) === flag)
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

const table4: Sweep = {
  name: 'table4',
  summary: 'time and memory of LoRA and SaLoRA by batch size, one run after another',
  tasks: ['mrpc'],
  rows: () =>
    [16, 32, 64].flatMap((batchSize) =>
      (['lora', 'salora'] as const).map((method) => ({ name: `${method}, batch ${batchSize}`, settings: { method, batchSize } })),
    ),
  inTurn: true,
}

const table3: Sweep = {
  name: 'table3',
  summary: 'the ablations λ = 0 and β = 0',
  tasks: ['mrpc', 'stsb', 'cola'],
  rows: () => [
    { name: 'salora', settings: { method: 'salora' } },
    { name: 'salora, λ = 0', settings: { method: 'salora', control: 0, retain: 'paper' } },
    { name: 'salora, β = 0', settings: { method: 'salora', beta: 0 } },
  ],
}

const table1Methods = ['full', 'houlsby', 'pfeiffer', 'prefix', 'prompt', 'lora', 'adalora', 'salora']

export const table1: Sweep = {
  name: 'table1',
  summary: 'methods by tasks',
  tasks: GLUE_NAMES.filter((task) => task !== 'wnli'),
  rows: (_, requested) => requested ?? table1Methods.map(parseRow),
}

const figure5: Sweep = {
  name: 'figure5',
  summary: 'SaLoRA by density, and LoRA',
  tasks: ['mrpc', 'stsb', 'cola'],
  rows: () => [
    { name: 'lora', settings: { method: 'lora' } },
    ...[0.125, 0.25, 0.375, 0.5, 0.625, 0.75].map((density) => ({
      name: `salora, b = ${density}`,
      settings: { method: 'salora' as const, density },
    })),
  ],
}

const figure4: Sweep = {
  name: 'figure4',
  summary: 'LoRA and SaLoRA by rank',
  tasks: ['mrpc', 'stsb', 'cola'],
  rows: () =>
    (['lora', 'salora'] as const).flatMap((method) =>
      [2, 4, 8, 16, 32].map((rank) => ({ name: `${method}, r = ${rank}`, settings: withRank(method, rank) })),
    ),
}

/** Figure 1: LoRA on one kind of matrix, or on the matrices of one layer, at several ranks. */
const ranks = [1, 2, 4, 8]

/** A matrix's name within its layer: --target-modules matches it in each layer. */
const nameInLayer = (name: string, layer: string): string => name.slice(layer.length + 1)

const listRows = ({ layers, matrices }: ModelSpec): readonly Row[] => {
  const namesByLayer = layers.map(({ name }) =>
    matrices.filter((matrix) => matrix.name.startsWith(`${name}.`)).map((matrix) => matrix.name),
  )
  const kinds = [...new Set(namesByLayer.flatMap((names, i) => names.map((name) => nameInLayer(name, layers[i]?.name ?? ''))))]
  const rowsAt = (name: string, targetModules: readonly string[]): readonly Row[] =>
    ranks.map((rank) => ({ name: `${name}, r = ${rank}`, settings: { ...withRank('lora', rank), targetModules: [...targetModules] } }))
  return [...kinds.flatMap((kind) => rowsAt(kind, [kind])), ...namesByLayer.flatMap((names, i) => rowsAt(`layer ${i + 1}`, names))]
}

const figure1: Sweep = {
  name: 'figure1',
  summary: 'LoRA on one kind of matrix, or on one layer, by rank',
  tasks: ['mrpc'],
  rows: listRows,
}

export const sweeps: readonly Sweep[] = [table1, table3, table4, figure1, figure4, figure5]
