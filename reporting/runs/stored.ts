/** Reads sweep.json of a sweep, and result.json of a style transfer. The folder may come from anyone, so types and sizes are validated. */
import { join } from 'node:path'
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import { GLUE_NAMES } from '../../finetuning/data/glueTasks.js'
import { runFileLimit } from '../../finetuning/run/runFiles.js'
import type { TransferTable } from '../../evaluation/styleTransfer/transferTable.js'
import type { SweepTable } from '../../evaluation/glue/sweepTable.js'

export type StoredSweep = { readonly sweep: string; readonly table: SweepTable }

const text = z.string().max(10_000)
const task = z.enum(GLUE_NAMES)
/** JSON writes NaN, the score of a run without one, as null. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? NaN)
const interval = z.tuple([number, number])
const count = z.int().min(0)
const summary = z.object({ count, mean: number, maximumDeviation: number, median: number, interval: interval.nullable() })
const paper = z.object({ mean: z.number(), maximumDeviation: z.number().nullable() })
const cell = z.object({
  task,
  values: z.record(text, number),
  summary: summary.nullable(),
  second: z.object({ name: text, values: z.record(text, number), summary }).exactOptional(),
  paper: paper.nullable(),
  failures: z.array(text).max(1000),
  retained: z.number().nullable(),
})
const row = z.object({
  name: text,
  cells: z.array(cell).max(100),
  average: z.number().nullable(),
  parameters: z.object({ method: count, head: count }).nullable(),
  seconds: z.number().nullable(),
  peakMemoryBytes: z.number().nullable(),
})
const sweepSchema = z.object({
  sweep: text,
  table: z.object({
    title: text,
    reported: z.enum(['last', 'best']),
    tasks: z.array(z.object({ task, metric: text })).max(100),
    rows: z.array(row).max(10_000),
    baseline: text.nullable(),
    differences: z.array(z.object({ row: text, task, pairs: count, mean: number, interval: interval.nullable() })).max(100_000),
    overall: z
      .array(
        z.object({
          ...{ row: text, tasks: count, pairs: count, mean: number },
          ...{ standardError: z.number().nullable(), interval: interval.nullable() },
        }),
      )
      .max(10_000)
      .default([]),
  }),
})

/** sweep.json of a sweep's folder; null if it has none. @throws InputError if it is not the sweep.json of a sweep */
export const readSweep = async (folder: string): Promise<StoredSweep | null> => {
  const file = await fileInFolder(folder, 'sweep.json')
  return file === undefined
    ? null
    : validate(sweepSchema, parseJson(await readText(join(folder, 'sweep.json'), runFileLimit), file), file, 'the sweep.json of a sweep')
}

const transferScores = z.object({
  accuracy: z.number().nullable(),
  bleu: number,
  perplexity: z.number().nullable(),
})
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
