/** plan.json of a sweep at work: the cells that it will have, and what its table is made by, so that others see how far it is. */
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { fileInFolder } from '../../accelerated/storage/fileInFolder.js'
import { GLUE_NAMES } from '../../finetuning/data/glueTasks.js'
import type { Cell } from './cell.js'
import type { Reported } from './sweepTable.js'

export type PlannedCell = Pick<Cell, 'id' | 'row' | 'task' | 'seed'>

export type SweepPlan = {
  readonly sweep: string
  readonly title: string
  readonly reported: Reported
  readonly baseline: string | null
  /** whose scores stand beside its own */
  readonly paper: 'base' | 'large' | null
  /** whether these are the runs that choose learning rates; the table's are planned after them */
  readonly stage: 'grid' | 'table'
  readonly cells: ReadonlyArray<PlannedCell>
}

/** Bytes of the file, and cells in it. */
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
        // a folder's name and no path
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

/** plan.json of a sweep's folder, or null where it has none. @throws Mistake where it is not one */
export const readPlan = async (folder: string): Promise<SweepPlan | null> => {
  const file = await fileInFolder(folder, planFile)
  return file === undefined ? null : validate(schema, parseJson(await readText(file, fileLimit), file), file, 'the plan of a sweep')
}
