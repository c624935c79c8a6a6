/** plan.json of a sweep: its planned cells and how its table is made, so that a board can show the sweep's progress. */
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import { GLUE_NAMES } from '../../finetuning/data/glueTasks.js'
import type { Cell, Reported } from './sweep.js'

export type PlannedCell = Pick<Cell, 'id' | 'row' | 'task' | 'seed'>

export type SweepPlan = {
  readonly sweep: string
  readonly title: string
  readonly reported: Reported
  readonly baseline: string | null
  /** the paper's model whose scores the table shows */
  readonly paper: 'base' | 'large' | null
  /** 'grid': these runs choose learning rates, and the table's runs are planned after them */
  readonly stage: 'grid' | 'table'
  readonly cells: ReadonlyArray<PlannedCell>
}

/** Limits on what is read: bytes of the file, and cells in it. */
const [fileLimit, cellLimit] = [16_000_000, 100_000]

const text = z.string().max(10_000)
const schema = z.object({
  sweep: text,
  title: text,
  reported: z.enum(['last', 'best']),
  baseline: text.nullable(),
  paper: z.enum(['base', 'large']).nullable(),
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

export const planFile = 'plan.json'

export const writePlan = (output: string, plan: SweepPlan): Promise<void> =>
  writeFileAtomically(join(output, planFile), `${JSON.stringify(plan)}\n`)

/** plan.json of a sweep's folder; null if it has none. @throws InputError if the file is no plan */
export const readPlan = async (folder: string): Promise<SweepPlan | null> => {
  const file = await fileInFolder(folder, planFile)
  return file === undefined ? null : validate(schema, parseJson(await readText(file, fileLimit), file), file, 'the plan of a sweep')
}
