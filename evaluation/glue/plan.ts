/** The plan of a sweep: its cells, in the order in which they are worked off. A pure function of what was asked for. */
import { createHash } from 'node:crypto'
import { resolveSettings, type SettingsInput } from '../../accelerated/training/settings.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'
import type { Cell } from './cell.js'
import { recipeOf, type PaperSize } from './glueRecipes.js'
import type { Row, Sweep } from './sweep.js'

export type SweepRequest = {
  readonly sweep: Sweep
  /** a folder in Hugging Face layout, or a hub id */
  readonly model: string
  /** the folder of GLUE's official folders */
  readonly data: string
  /** none: the sweep's own */
  readonly tasks: ReadonlyArray<GlueName>
  /** null: the sweep's own */
  readonly rows: ReadonlyArray<Row> | null
  readonly seeds: ReadonlyArray<number>
  /** what the user asks for, above recipe and row */
  readonly overrides: SettingsInput
  /** the first so many training examples of each task; null: all */
  readonly maxTrainSamples: number | null
}

/** Whose recipe a model gets: RoBERTa-large's from its width on. */
export const sizeOf = ({ hiddenSize }: Pick<ModelSpec, 'hiddenSize'>): PaperSize => (hiddenSize >= 1024 ? 'large' : 'base')

/** Learning rates to choose from, and what they are scored on: a tenth of the training examples that is held out, or the dev file. */
export type Grid = { readonly rates: ReadonlyArray<number>; readonly on: 'train' | 'dev' }

/** The learning rate of each task and row, where one was chosen on the grid. */
export type ChosenRates = ReadonlyMap<string, number>

export const rateKey = ({ task, row }: Pick<Cell, 'task' | 'row'>): string => `${task}, ${row}`

/** Seed by seed, so that a sweep that is stopped has whole tables of fewer seeds. @throws SettingsError */
export const cellsOf = (request: SweepRequest, outline: ModelSpec, chosen: ChosenRates = new Map()): ReadonlyArray<Cell> =>
  request.seeds.flatMap((seed) =>
    placesOf(request, outline).map(({ task, row }) => {
      const rate = chosen.get(rateKey({ task, row: row.name }))
      return cellOf(request, outline, { task, row, seed, id: '', more: rate === undefined ? {} : { learningRate: rate } })
    }),
  )

/** What each task and row is tried at first, with one seed; not a row that has a rate of its own. @throws SettingsError */
export const gridCells = (request: SweepRequest, outline: ModelSpec, { rates, on }: Grid): ReadonlyArray<Cell> =>
  placesOf(request, outline).flatMap(({ task, row }) =>
    (row.own?.learningRate === undefined ? rates : []).map((learningRate) =>
      cellOf(request, outline, {
        task,
        row,
        seed: request.seeds[0] ?? 0,
        id: `.grid-${on}-${learningRate}`,
        more: { learningRate },
        holdOutTrain: on === 'train',
      }),
    ),
  )

/** Of a cell's folder: letters and digits of any script stay, or λ = 0 and β = 0 would be one folder. `more`: what makes it another run than the table's. */
export const cellId = ({ task, row, seed }: Pick<Cell, 'task' | 'row' | 'seed'>, more = ''): string => {
  const plain = row.replace(/[^\p{L}\p{N}_.=-]+/gu, '_')
  return `${task}.${plain.length <= longestRow ? plain : `${plain.slice(0, 80)}-${digestOf(row)}`}${more}.seed-${seed}`
}

/** Characters of a row's name in a folder's: disks have names of 255 bytes. */
const longestRow = 120

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

type Place = { readonly task: GlueName; readonly row: Row }

const placesOf = ({ sweep, tasks, rows }: SweepRequest, outline: ModelSpec): ReadonlyArray<Place> => {
  const own = sweep.rows(outline, rows)
  return (tasks.length > 0 ? tasks : sweep.tasks).flatMap((task) => own.map((row) => ({ task, row })))
}

type Wanted = Place & {
  readonly seed: number
  /** what makes it another run than that of the table */
  readonly id: string
  readonly more: SettingsInput
  readonly holdOutTrain?: boolean
}

const cellOf = (
  { model, data, overrides, maxTrainSamples }: SweepRequest,
  outline: ModelSpec,
  { task, row, seed, id, more, holdOutTrain = false }: Wanted,
): Cell => ({
  id: cellId({ task, row: row.name, seed }, id),
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
      ...recipeOf(task, sizeOf(outline)),
      ...row.settings,
      ...more,
      ...overrides,
      ...row.own,
      seed,
    } as SettingsInput),
  },
})
