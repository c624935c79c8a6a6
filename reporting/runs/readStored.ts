/** Reads sweep.json of a sweep, and result.json of a style transfer. The folder may come from anyone, so types and sizes are validated. */
import { z } from 'zod'
import { readJson } from '../../accelerated/storage/json.js'
import { runFileLimit } from '../../finetuning/run/runFiles.js'
import type { TransferTable } from '../../evaluation/styleTransfer/transferTable.js'
import { sweepTableSchema, type SweepTable } from '../../evaluation/glue/sweepTable.js'

export type StoredSweep = { readonly sweep: string; readonly table: SweepTable }

const text = z.string().max(10_000)
const sweepSchema = z.object({ sweep: text, table: sweepTableSchema })

/** sweep.json of a sweep's folder; null if it has none. @throws InputError if it is not the sweep.json of a sweep */
export const readSweep = (folder: string): Promise<StoredSweep | null> =>
  readJson(folder, 'sweep.json', sweepSchema, 'the sweep.json of a sweep', runFileLimit)

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
export const readTransfer = async (folder: string): Promise<TransferTable | null> =>
  (await readJson(folder, 'result.json', transferSchema, 'the result.json of a style transfer', runFileLimit))?.table ?? null
