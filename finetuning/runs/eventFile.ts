/**
 * The event file of a run, which TensorBoard reads: metrics.jsonl once more, a record for each line.
 * A run that goes on writes a new file from the lines that were kept and then removes the old one. So it can neither miss a point nor show one
 * twice, whatever a killed process left, and also has the steps before `--tensorboard` was asked for. (TensorBoard's own way, a second file whose
 * purge step hides what the first has too much, leaves readers that know no purge with both.)
 */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import { appendedFile } from './appendedFile.js'
import type { MetricsLog } from './metricsLog.js'
import { openings, openingRecords, scalarRecord, wallTimes, type Scalars } from './tensorBoardEvents.js'

/** Its names: TensorBoard wants the first part, and reads files in the order of the second, the seconds since 1970. */
export const eventFile = /^events\.out\.tfevents\.(\d{10})\.salora$/

/** The log of a run, which from now on goes to its event file too, where one is `wanted` or the run has one. Throws Mistake. */
export const withEventFile = async (log: MetricsLog, output: string, wanted: boolean): Promise<MetricsLog> => {
  const earlier = (await readdir(output, { withFileTypes: true }))
    .filter((entry) => entry.isFile() && eventFile.test(entry.name))
    .map(({ name }) => name)
    .sort()
  if (!wanted && earlier.length === 0) return log
  const file = join(output, nameAfter(earlier.at(-1)))
  await writeFileAtomically(file, await recordsOf(output, log.lines(), earlier.at(-1)))
  for (const name of earlier) await rm(join(output, name), { force: true })
  const { append, flush } = appendedFile(file)
  return {
    ...log,
    append: (event) => {
      log.append(event)
      append(recordOf(JSON.stringify(event), seconds()))
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

/** The records of the lines that metrics.jsonl has, each of the time that the earlier file has for it. */
const recordsOf = async (output: string, lines: number, earlier: string | undefined): Promise<Uint8Array> => {
  const times = earlier === undefined ? [] : wallTimes(await read(join(output, earlier)))
  const now = seconds()
  const records = [openingRecords(times[0] ?? now)]
  const text = lines === 0 ? '' : String(await read(join(output, 'metrics.jsonl')))
  for (const line of text.split('\n').slice(0, lines)) records.push(recordOf(line, times[records.length - 1 + openings] ?? now))
  return Buffer.concat(records)
}

const read = (file: string): Promise<Buffer> =>
  readFile(file).catch((error: unknown) => {
    throw systemInputError(file, 'a readable file', error)
  })

const lineSchema = z.looseObject({ kind: z.string(), step: z.int().min(0), scores: z.record(z.string(), z.unknown()).optional() })

/** A line of metrics.jsonl. One that is none, or that has no numbers to show, is a record without them: records keep the places of lines. */
const recordOf = (line: string, wallTime: number): Uint8Array => {
  const { success, data } = lineSchema.safeParse(parsed(line))
  return success ? scalarRecord(wallTime, data.step, scalarsOf(data)) : scalarRecord(wallTime, 0, [])
}

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}

/** A step's numbers and an evaluation's scores have names of their own: both may have a `loss`. A number that is not one (null in JSON) has no point. */
const scalarsOf = ({ kind, step: _, scores, ...columns }: z.infer<typeof lineSchema>): Scalars => {
  if (kind === 'step') return numbersOf('train', columns)
  return kind === 'evaluation' ? numbersOf('evaluation', scores ?? {}) : []
}

const numbersOf = (group: string, values: Readonly<Record<string, unknown>>): Scalars =>
  Object.entries(values).flatMap(([name, value]) => (typeof value === 'number' ? [[`${group}/${name}`, value] as const] : []))
