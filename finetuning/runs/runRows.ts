/** The rows that a run trained and was evaluated on, remembered by their texts in rows.json: the file they came from may change. */
import { createHash, hash } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { fileInFolder } from '../../accelerated/storage/fileInFolder.js'
import type { Dataset, Example } from '../data/index.js'
import type { Task } from '../tasks/index.js'

export const rowsFile = 'rows.json'

/** Characters of rows.json: 30 million rows, which is more than a file of examples may hold. */
const limit = 400_000_000

/** Of each text (and second text) the first 8 bytes of its SHA-256, one after another in base64. */
const schema = z.object({
  /** whether the evaluation's rows were held out of the training's file */
  heldOut: z.boolean(),
  training: z.base64(),
  evaluation: z.base64(),
})

/** Keys in ascending order. */
export type RunRows = { readonly heldOut: boolean; readonly training: BigUint64Array; readonly evaluation: BigUint64Array }

type Texts = Pick<Example, 'text' | 'textPair'>

/** One after another; each digest is let go of at once, or half a million of them would be held. */
const keysOf = (rows: ReadonlyArray<Texts>): BigUint64Array => {
  const keys = new BigUint64Array(rows.length)
  const bytes = Buffer.from(keys.buffer)
  rows.forEach(({ text, textPair }, i) => {
    hash('sha256', JSON.stringify([text, textPair ?? null]), 'buffer').copy(bytes, 8 * i, 0, 8)
  })
  return keys
}

/** Whether the run has this text among those rows. */
export const isAmong = (rows: BigUint64Array, texts: Texts): boolean => {
  const [key = 0n] = keysOf([texts])
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((rows[middle] ?? 0n) < key) low = middle + 1
    else high = middle
  }
  return rows[low] === key
}

/** One digest of texts and labels, in their order, and how many they are: `36 of sha256 …`. Classes count by their names. */
export const rowsDigest = ({ examples, labelNames }: Pick<Dataset, 'examples' | 'labelNames'>): string => {
  const digest = createHash('sha256')
  const nameOf = (label: number): string | number => labelNames?.[label] ?? label
  for (const { text, textPair, label, labels } of examples)
    digest.update(`${JSON.stringify([text, textPair ?? null, labels?.map(nameOf) ?? nameOf(label)])}\n`)
  return `${examples.length} of sha256 ${digest.digest('hex')}`
}

/** rows.json of a task, as text: its own texts need not be kept for it. */
export const runRowsOf = ({ train, evaluation, heldOut }: Task): string => {
  const keys = ({ examples }: Dataset): string => Buffer.from(keysOf(examples).buffer).toString('base64')
  return `${JSON.stringify({ heldOut, training: keys(train), evaluation: keys(evaluation) })}\n`
}

/** Throws Mistake. */
export const writeRunRows = async (output: string, rows: string): Promise<void> => {
  if (rows.length > limit) throw inputError(join(output, rowsFile), `at most ${limit} bytes`, String(rows.length))
  await writeFileAtomically(join(output, rowsFile), rows)
}

/** rows.json of a run; null in the folder of a version that wrote none. Throws Mistake. */
export const readRunRows = async (output: string): Promise<RunRows | null> => {
  if ((await fileInFolder(output, rowsFile)) === undefined) return null
  const file = join(output, rowsFile)
  const { heldOut, training, evaluation } = validate(schema, parseJson(await readText(file, limit), file), file, 'the rows of a run')
  return { heldOut, training: keysIn(training, file), evaluation: keysIn(evaluation, file) }
}

const keysIn = (base64: string, file: string): BigUint64Array => {
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length % 8 !== 0) throw inputError(file, 'eight bytes for each row', `${bytes.length}`)
  return new BigUint64Array(Uint8Array.from(bytes).buffer).sort()
}
