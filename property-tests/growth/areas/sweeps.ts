/** Sweeps: their plans, the states of their cells, and their tables. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { cellFolder, cellStates } from '../../../evaluation/cells/cellFolder.js'
import type { Cell } from '../../../evaluation/glue/sweep.js'
import { cellsOf } from '../../../evaluation/glue/plan.js'
import { rowOf } from '../../../evaluation/glue/rows.js'
import { readPlan, writePlan, type SweepPlan } from '../../../evaluation/glue/storedPlan.js'
import { sweepTable } from '../../../evaluation/glue/sweepTable.js'
import { sweeps as allSweeps } from '../../../evaluation/glue/sweeps/index.js'
import { candidatesOf, rungsOf, survivors } from '../../../evaluation/tune/searchSpace.js'
import { sweepTables } from '../../../reporting/report/tables/sweeps.js'
import { tableSection } from '../../../reporting/report/tableHtml.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { madeRun } from '../../property/reporting/reportRuns.js'
import { times } from '../made.js'
import type { Grown } from '../measured.js'

const request = (folder: string, seeds: number) => ({
  sweep: allSweeps.find(({ name }) => name === 'table1') ?? (allSweeps[0] as (typeof allSweeps)[number]),
  model: join(folder, 'tiny'),
  data: 'glue',
  tasks: ['mrpc', 'cola'] as const,
  rows: ['lora', 'salora'].map(rowOf),
  seeds: times(seeds, (i) => i),
  overrides: {},
  maxTrainSamples: null,
})

const planned = async (cells: number, folder: string): Promise<ReadonlyArray<Cell>> => {
  const { model } = await openModelFolder(await writeTinyModel(join(folder, 'tiny')))
  return cellsOf(request(folder, Math.ceil(cells / 4)), model.spec)
}

const planOf = (cells: ReadonlyArray<Cell>): SweepPlan => ({
  ...{ sweep: 'table1', title: 'Table', reported: 'best', baseline: 'lora', paper: null, stage: 'table' },
  cells: cells.map(({ id, row, task, seed }) => ({ id, row, task, seed })),
})

const tableOf = async (cells: ReadonlyArray<Cell>) => {
  const ended = cells.map((cell, i) => ({
    cell,
    outcome: { kind: 'done' as const, result: madeRun({ accuracy: 0.5 + (i % 97) / 200 }).result as never, reused: false },
  }))
  return () => sweepTable(ended, { title: 'Table', reported: 'best', baseline: 'lora', paper: () => null })
}

/** Cells of rows of their own instead of more seeds. */
const manyRows = (cells: ReadonlyArray<Cell>): ReadonlyArray<Cell> =>
  cells.map((cell, i) => ({ ...cell, row: `row ${i >> 2}`, seed: i % 2 }))

const manyResults = { bound: { exponent: 1.5, reason: 'a tenth of a second for 25,600 results, which outgrow the caches' } }

export const sweeps: ReadonlyArray<Grown> = [
  {
    what: 'plan a sweep',
    of: 'cells',
    from: 200,
    prepare: async (size, folder) => {
      const { model } = await openModelFolder(await writeTinyModel(join(folder, 'tiny')))
      return () => cellsOf(request(folder, size / 4), model.spec)
    },
  },
  {
    what: 'write and read the plan of a sweep',
    of: 'cells',
    from: 500,
    prepare: async (size, folder) => {
      const plan = planOf(await planned(size, folder))
      return async () => {
        await writePlan(folder, plan)
        await readPlan(folder)
      }
    },
  },
  {
    what: 'read the states of cells',
    of: 'cells',
    from: 100,
    prepare: async (size, folder) => {
      const cells = await planned(size, folder)
      for (const cell of cells) {
        await mkdir(cellFolder(folder, cell), { recursive: true })
        const { config } = madeRun({})
        await writeFile(join(cellFolder(folder, cell), 'config.json'), JSON.stringify({ ...config, ...cell.options }))
      }
      return () => cellStates(folder, cells)
    },
  },
  {
    what: 'make the table of a sweep, by seeds',
    of: 'cells',
    from: 800,
    ...manyResults,
    prepare: async (size, folder) => tableOf(await planned(size, folder)),
  },
  {
    what: 'make the table of a sweep, by rows',
    of: 'cells',
    from: 800,
    ...manyResults,
    prepare: async (size, folder) => tableOf(manyRows(await planned(size, folder))),
  },
  {
    what: 'write the table of a sweep as a page',
    of: 'cells',
    from: 800,
    ...manyResults,
    prepare: async (size, folder) => {
      const table = (await tableOf(manyRows(await planned(size, folder))))()
      return () => sweepTables([{ folder: 'x', name: 'x', sweep: 'table1', table } as never]).map(tableSection)
    },
  },
  {
    what: 'list candidates and halve them',
    of: 'candidates',
    from: 500,
    prepare: async (size) => {
      const learningRates = times(size / 4, (i) => 1e-5 * (i + 1))
      return () => {
        const candidates = candidatesOf({ methods: ['lora', 'salora'], learningRates, ranks: [2, 4], overrides: {} } as never)
        rungsOf(candidates.length, 1_000)
        return survivors(candidates, candidates.length >> 1, () => ({ score: 1, loss: 1 }))
      }
    },
  },
]
