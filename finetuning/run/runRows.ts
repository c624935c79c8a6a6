/** rows.json: hashes of the texts that a run was trained and evaluated on, since the data file may change later. */
import { z } from 'zod'
import { readJson } from '../../accelerated/storage/json.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { joinPath } from '../../accelerated/storage/paths.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { sha256 } from '../../accelerated/storage/native.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { comparableNames } from '../data/labels.js'
import type { Dataset } from '../data/index.js'
import { textKeys, type Texts } from '../data/textKeys.js'
import type { RowKeys } from '../inspection/dataFacts.js'
import type { LoadedTask } from '../tasks/index.js'

export const rowsFile = 'rows.json'

/** The maximum characters of rows.json: 30 million rows, more than a data file may hold. */
const rowsLimit = 400_000_000

/** `training`, `evaluation`: the first 8 bytes of each row's SHA-256, concatenated in base64. */
const schema = z.object({
  /** Whether the evaluation rows were held out from the training file. */
  heldOut: z.boolean(),
  training: z.base64(),
  evaluation: z.base64(),
})

/** Keys in ascending order. */
export type RunRows = { readonly heldOut: boolean; readonly training: BigUint64Array; readonly evaluation: BigUint64Array }

/** Whether the text is among the rows. */
export const isAmong = (rows: BigUint64Array, texts: Texts): boolean => {
  const [key = 0n] = textKeys([texts])
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((rows[middle] ?? 0n) < key) low = middle + 1
    else high = middle
  }
  return rows[low] === key
}

/** The number and the digest of rows in their order: `36 of sha256 …`. Classes are hashed by name, 1.0 as 1. */
export const rowsDigest = ({ examples, labelNames }: Pick<Dataset, 'examples' | 'labelNames'>): string => {
  const digest = sha256()
  const names = labelNames === null ? null : comparableNames(labelNames)
  const nameLabel = (label: number): string | number => names?.[label] ?? label
  for (const { text, textPair, negative, label, labels, shares, words } of examples) {
    const further = [
      ...(words === undefined ? [] : [Array.from(words)]),
      ...(negative === undefined ? [] : [{ negative }]),
      ...(shares === undefined ? [] : [shares.map(([at, share]) => [nameLabel(at), share])]),
    ]
    digest.update(`${JSON.stringify([text, textPair ?? null, labels?.map(nameLabel) ?? nameLabel(label), ...further])}\n`)
  }
  return `${examples.length} of sha256 ${digest.hex()}`
}

/** A key per row, in the order of the rows. */
export const computeRowKeys = ({ train, evaluation, test }: Pick<LoadedTask, 'train' | 'evaluation' | 'test'>): RowKeys => ({
  training: textKeys(train.examples),
  evaluation: textKeys(evaluation.examples),
  test: textKeys(test?.examples ?? []),
})

/** The content of rows.json, computed early so that the task's texts can be released. */
export const encodeRunRows = (task: LoadedTask, { training, evaluation }: RowKeys = computeRowKeys(task)): string => {
  const base64 = (keys: BigUint64Array): string => Buffer.from(keys.buffer).toString('base64')
  return `${JSON.stringify({ heldOut: task.heldOut, training: base64(training), evaluation: base64(evaluation) })}\n`
}

/** @throws InputError if there are too many rows, or the file cannot be written */
export const writeRunRows = async (output: string, rows: string, storage: Storage = nodeFiles): Promise<void> => {
  if (rows.length > rowsLimit) throw inputError(joinPath(output, rowsFile), `at most ${rowsLimit} bytes`, String(rows.length))
  await storage.write(joinPath(output, rowsFile), rows)
}

/** rows.json of a run; null in a folder of a version that wrote none. @throws InputError if the file is invalid */
export const readRunRows = async (output: string): Promise<RunRows | null> => {
  const stored = await readJson(output, rowsFile, schema, 'the rows of a run', rowsLimit)
  const keys = (base64: string): BigUint64Array => keysIn(base64, joinPath(output, rowsFile))
  return stored && { heldOut: stored.heldOut, training: keys(stored.training), evaluation: keys(stored.evaluation) }
}

const keysIn = (base64: string, file: string): BigUint64Array => {
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length % 8 !== 0) throw inputError(file, 'eight bytes for each row', `${bytes.length}`)
  return new BigUint64Array(Uint8Array.from(bytes).buffer).sort()
}
