/** Reads result.json of a style transfer. The folder may come from anyone, so types and sizes are validated. */
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import { runFileLimit } from '../../finetuning/runs/runFiles.js'
import type { TransferTable } from '../../evaluation/styleTransfer/transferTable.js'

const text = z.string().max(10_000)
const number = z.number().nullable()
const scores = z.object({
  accuracy: number,
  bleu: number.transform((value) => value ?? NaN),
  perplexity: number,
})
const schema = z.object({
  table: z.object({
    title: text,
    directions: z.tuple([text, text]),
    rows: z.array(z.object({ method: text, scores: z.tuple([scores, scores]), published: z.boolean() })).max(1000),
  }),
})

/** The table of a style transfer's folder; null if it has none. @throws InputError if result.json is not that of a style transfer */
export const readTransfer = async (folder: string): Promise<TransferTable | null> => {
  const file = await fileInFolder(folder, 'result.json')
  return file === undefined
    ? null
    : validate(schema, parseJson(await readText(file, runFileLimit), file), file, 'the result.json of a style transfer').table
}
