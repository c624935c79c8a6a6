/** The cells of a sweep, in the order in which they run: a pure function of the request. */
import { createHash } from 'node:crypto'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { ModelSpec, Model } from '../../accelerated/models/architecture.js'
import { type GlueName, GLUE_NAMES } from '../../finetuning/data/glueTasks.js'
import type { ExecutorEvent } from '../jobs/executor.js'
import type { Cell, Reported, Row, Sweep } from './sweep.js'
import { buildRecipe, type PaperSize } from '../../finetuning/tasks/datasets/glueRecipe.js'
import { basename, isAbsolute, join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { readJson } from '../../accelerated/storage/json.js'

export type SweepRequest = {
  readonly sweep: Sweep
  /** a folder in Hugging Face layout, or a hub id */
  readonly model: string
  /** the folder with GLUE's official folders, or a dataset of the hub */
  readonly data: string
  /** empty: the sweep's tasks */
  readonly tasks: readonly GlueName[]
  /** null: the sweep's rows */
  readonly rows: readonly Row[] | null
  readonly seeds: readonly number[]
  /** settings for all runs; they override recipe and row */
  readonly overrides: SettingsInput
  /** use only the first n training examples of each task; null: all */
  readonly maxTrainSamples: number | null
}

/** Which of the paper's recipes a model gets, by its width. */
export const choosePaperSize = ({ hiddenSize }: Pick<ModelSpec, 'hiddenSize'>): PaperSize => (hiddenSize >= 1024 ? 'large' : 'base')

/** Learning rates to choose from, and the data that decides: a held-out tenth of the training examples, or the dev file. */
export type Grid = { readonly rates: readonly number[]; readonly on: 'train' | 'dev' }

/** What a sweep over GLUE is asked for, and the events that it emits. */
export type GlueSweepOptions = SweepRequest & {
  readonly output: string
  readonly jobs: number
  readonly reported: Reported
  /** the row that others are compared with; null: lora, if the table has it */
  readonly baseline: string | null
  /** learning rates to choose from, for each task and row, with a seed of its own; null: the recipe's rate */
  readonly grid: Grid | null
}

export type OnSweepEvent = (
  event:
    | ExecutorEvent
    | { readonly kind: 'message'; readonly text: string }
    | { readonly kind: 'planned'; readonly stage: 'grid' | 'table'; readonly cells: number },
) => void

/** The chosen learning rates, by `rateKey`. */
export type ChosenRates = ReadonlyMap<string, number>

export const rateKey = ({ task, row }: Pick<Cell, 'task' | 'row'>): string => `${task}, ${row}`

/** Seed by seed, so that a stopped sweep has complete tables of fewer seeds. @throws SettingsError */
export const planCells = (request: SweepRequest, spec: ModelSpec, chosen: ChosenRates = new Map()): readonly Cell[] =>
  request.seeds.flatMap((seed) =>
    listEntries(request, spec).map(({ task, row }) => {
      const rate = chosen.get(rateKey({ task, row: row.name }))
      return planCell(request, spec, { task, row, seed, suffix: '', settings: rate === undefined ? {} : { learningRate: rate } })
    }),
  )

/** The seed of the runs that choose learning rates. No run of the table has it, so no reported run has chosen its own rate. */
export const gridSeed = 1000

/** The runs that choose learning rates, with `gridSeed`. A row with a rate of its own has none. @throws SettingsError */
export const gridCells = (request: SweepRequest, spec: ModelSpec, { rates, on }: Grid): readonly Cell[] =>
  listEntries(request, spec).flatMap(({ task, row }) =>
    (row.overrides?.learningRate === undefined ? rates : []).map((learningRate) =>
      planCell(request, spec, {
        task,
        row,
        seed: gridSeed,
        suffix: `.grid-${on}-${learningRate}`,
        settings: { learningRate },
        holdOutTrain: on === 'train',
      }),
    ),
  )

/**
 * The name of a cell's folder. Letters and digits of any script stay, so that `λ = 0` and `β = 0` have different folders.
 * @param suffix what distinguishes the run from the table's run of the same task, row and seed
 */
export const cellId = ({ task, row, seed }: Pick<Cell, 'task' | 'row' | 'seed'>, suffix = ''): string => {
  const plain = row.replace(/[^\p{L}\p{N}_.=-]+/gu, '_')
  return `${task}.${plain.length <= longestRow ? plain : `${plain.slice(0, 80)}-${hashText(row)}`}${suffix}.seed-${seed}`
}

/** Characters of a row's name in the name of a folder, which may have 255 bytes. */
const longestRow = 120

const hashText = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

type Entry = { readonly task: GlueName; readonly row: Row }

const listEntries = ({ sweep, tasks, rows }: SweepRequest, spec: ModelSpec): readonly Entry[] => {
  const sweepRows = sweep.rows(spec, rows)
  return (tasks.length > 0 ? tasks : sweep.tasks).flatMap((task) => sweepRows.map((row) => ({ task, row })))
}

type PlannedRun = Entry & {
  readonly seed: number
  readonly suffix: string
  readonly settings: SettingsInput
  readonly holdOutTrain?: boolean
}

const planCell = (
  { model, data, overrides, maxTrainSamples }: SweepRequest,
  spec: ModelSpec,
  { task, row, seed, suffix, settings, holdOutTrain = false }: PlannedRun,
): Cell => ({
  id: cellId({ task, row: row.name, seed }, suffix),
  row: row.name,
  task,
  seed,
  options: {
    model,
    task: {
      task,
      data,
      ...(maxTrainSamples === null ? {} : { maxTrainSamples: String(maxTrainSamples) }),
      ...(holdOutTrain ? { holdOutTrain } : {}),
    },
    settings: resolveSettings({
      ...buildRecipe(task, choosePaperSize(spec), row.settings['method']),
      ...row.settings,
      ...settings,
      ...overrides,
      ...row.overrides,
      seed,
    } as SettingsInput),
  },
})

/** The plan that a sweep writes for others to follow: its title, its baseline, and its cells. */
export const sweepPlan = (options: GlueSweepOptions, model: Model, stage: SweepPlan['stage'], cells: readonly Cell[]): SweepPlan => ({
  sweep: options.sweep.name,
  title: formatTitle(options),
  reported: options.reported,
  baseline: options.baseline ?? 'lora',
  paper: matchPaperSize(model),
  stage,
  cells: cells.map(({ id, row, task, seed }) => ({ id, row, task, seed })),
})

/** Everything a reader must know about the table: model, seeds, evaluation, changed settings and the grid. */
const formatTitle = ({ sweep, model, seeds, reported, maxTrainSamples, overrides, grid }: GlueSweepOptions): string =>
  [
    sweep.summary,
    isAbsolute(model) ? basename(model) : model,
    seeds.length === 1 ? '1 seed' : `${seeds.length} seeds`,
    `${reported} evaluation on dev`,
    ...(maxTrainSamples === null ? [] : [`first ${maxTrainSamples} training examples of each task`]),
    ...Object.entries(overrides).map(([name, value]) => `${name} ${String(value)}`),
    ...(grid === null ? [] : [gridTitle(grid)]),
  ].join('; ')

const gridTitle = ({ rates, on }: Grid): string =>
  `learning rates chosen from ${rates.join(', ')} on ${on === 'train' ? 'a held-out tenth of train' : 'dev'}`

/** The paper's models: RoBERTa with 12 layers of 768 or 24 of 1024, and its 50,265 words; null for any other. */
const matchPaperSize = ({ type, vocabularySize, spec }: Model): PaperSize | null => {
  if (type !== 'roberta' || vocabularySize !== 50_265) return null
  const shape = `${spec.layers.length} x ${spec.hiddenSize}`
  return shape === '12 x 768' || shape === '24 x 1024' ? choosePaperSize(spec) : null
}

/** plan.json of a sweep: its planned cells and how its table is made, so that a board can show the sweep's progress. */
export type PlannedCell = Pick<Cell, 'id' | 'row' | 'task' | 'seed'>

/** Limits on what is read: bytes of the file, and cells in it. */
const [fileLimit, cellLimit] = [16_000_000, 100_000]

const text = z.string().max(10_000)
const schema = z.object({
  sweep: text,
  title: text,
  reported: z.enum(['last', 'best']),
  baseline: text.nullable(),
  /** the paper's model whose scores the table shows */
  paper: z.enum(['base', 'large']).nullable(),
  /** 'grid': these runs choose learning rates, and the table's runs are planned after them */
  stage: z.enum(['grid', 'table']),
  cells: z
    .array(
      z.object({
        // the name of a folder, without a path
        id: z.string().regex(/^[^/\\\0]{1,255}$/),
        row: text,
        task: z.enum(GLUE_NAMES),
        seed: z.int().min(0),
      }),
    )
    .max(cellLimit),
})

export type SweepPlan = Readonly<z.infer<typeof schema>>

export const planFile = 'plan.json'

export const writePlan = (output: string, plan: SweepPlan): Promise<void> =>
  writeFileAtomically(join(output, planFile), `${JSON.stringify(plan)}\n`)

/** plan.json of a sweep's folder; null if it has none. @throws InputError if the file is no plan */
export const readPlan = (folder: string): Promise<SweepPlan | null> => readJson(folder, planFile, schema, 'the plan of a sweep', fileLimit)
