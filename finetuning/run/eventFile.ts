/**
 * The event file of a run, which TensorBoard reads: a record for each line of metrics.jsonl.
 *
 * A resumed run writes a new file from the kept lines and then removes the old one. So no point is missing or doubled, whatever a killed process
 * left behind, and steps before `--tensorboard` was set are included. (TensorBoard's own way is a second file whose purge step hides points
 * of the first; readers without purging would show both.)
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { readBytes, withRegularFile } from '../../accelerated/storage/nodeFiles.js'
import { appendedFile } from './appendedFile.js'
import type { MetricsLog } from './metricsLog.js'
import { toScalars } from './metricsLine.js'
import { openingRecords, openings, scalarRecord, wallTimes } from './tensorBoardEvents.js'

/** Names of event files: TensorBoard requires the prefix, and reads files in the order of the number, seconds since 1970. */
export const eventFile = /^events\.out\.tfevents\.(\d{10})\.salora$/

/** Makes the log also write an event file if `tensorboard` is set or the run has one. @throws InputError if the file cannot be read or written */
export const withEventFile = async (log: MetricsLog, output: string, tensorboard: boolean): Promise<MetricsLog> => {
  const earlier = (await readdir(output, { withFileTypes: true }))
    .filter((entry) => entry.isFile() && eventFile.test(entry.name))
    .map(({ name }) => name)
    .sort()
  if (!tensorboard && earlier.length === 0) return log
  const file = join(output, nameAfter(earlier.at(-1)))
  await writeFileAtomically(file, await encodeRecords(output, log.lines(), earlier.at(-1)))
  for (const name of earlier) await rm(join(output, name), { force: true })
  const { append, flush } = appendedFile(file)
  return {
    ...log,
    append: (event) => {
      log.append(event)
      append(encodeRecord(JSON.stringify(event), seconds()))
    },
    flush: async () => {
      await log.flush()
      await flush()
    },
  }
}

const seconds = (): number => Date.now() / 1000

const nameAfter = (earlier: string | undefined): string => {
  const last = Number(eventFile.exec(earlier ?? '')?.[1] ?? 0)
  return `events.out.tfevents.${String(Math.max(Math.floor(seconds()), last + 1)).padStart(10, '0')}.salora`
}

/** The records of the lines in metrics.jsonl, with the wall times of the earlier event file. */
const encodeRecords = async (output: string, lines: number, earlier: string | undefined): Promise<Uint8Array> => {
  const times = earlier === undefined ? [] : wallTimes(await read(join(output, earlier)))
  const now = seconds()
  const records = [openingRecords(times[0] ?? now)]
  const text = lines === 0 ? '' : String(await read(join(output, 'metrics.jsonl')))
  for (const line of text.split('\n').slice(0, lines)) records.push(encodeRecord(line, times[records.length - 1 + openings] ?? now))
  return Buffer.concat(records)
}

/** Bytes of either file, which are in memory at once: a JavaScript string holds no more. A million steps need 400 MB. */
const logLimit = 500_000_000

const read = (file: string): Promise<Buffer> =>
  withRegularFile(file, async (handle, size) => {
    if (size > logLimit) throw inputError(file, `at most ${logLimit} bytes for TensorBoard`, `${size}`)
    return readBytes(handle, file, 0, size)
  })

const lineSchema = z.looseObject({ kind: z.string(), step: z.int().min(0), scores: z.record(z.string(), z.unknown()).optional() })

/** The record of a line of metrics.jsonl. A malformed line becomes an empty record, so that record n belongs to line n. */
const encodeRecord = (line: string, wallTime: number): Uint8Array => {
  const { success, data } = lineSchema.safeParse(parsed(line))
  return success ? scalarRecord(wallTime, data.step, toScalars(data)) : scalarRecord(wallTime, 0, [])
}

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}
