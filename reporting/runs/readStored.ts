/** Reads sweep.json of a sweep, and result.json of a style transfer. The folder may come from anyone, so types and sizes are validated. */
import { join } from 'node:path'
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import { runFileLimit } from '../../finetuning/run/runFiles.js'
import type { TransferTable } from '../../evaluation/styleTransfer/transferTable.js'
import { sweepTableSchema, type SweepTable } from '../../evaluation/glue/sweepTable.js'

export type StoredSweep = { readonly sweep: string; readonly table: SweepTable }

const text = z.string().max(10_000)
const sweepSchema = z.object({ sweep: text, table: sweepTableSchema })

/** sweep.json of a sweep's folder; null if it has none. @throws InputError if it is not the sweep.json of a sweep */
export const readSweep = async (folder: string): Promise<StoredSweep | null> => {
  const file = await fileInFolder(folder, 'sweep.json')
  return file === undefined
    ? null
    : validate(sweepSchema, parseJson(await readText(join(folder, 'sweep.json'), runFileLimit), file), file, 'the sweep.json of a sweep')
}

/** JSON writes NaN as null. */
const bleu = z
  .number()
  .nullable()
  .transform((value) => value ?? NaN)
const transferScores = z.object({ accuracy: z.number().nullable(), bleu, perplexity: z.number().nullable() })
const transferSchema = z.object({
  table: z.object({
    title: text,
    directions: z.tuple([text, text]),
    rows: z.array(z.object({ method: text, scores: z.tuple([transferScores, transferScores]), published: z.boolean() })).max(1000),
  }),
})

/** The table of a style transfer's folder; null if it has none. @throws InputError if result.json is not that of a style transfer */
export const readTransfer = async (folder: string): Promise<TransferTable | null> => {
  const file = await fileInFolder(folder, 'result.json')
  return file === undefined
    ? null
    : validate(transferSchema, parseJson(await readText(file, runFileLimit), file), file, 'the result.json of a style transfer').table
}
