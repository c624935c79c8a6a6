/** metrics.jsonl of a run: one line per event. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import { appendedFile } from './appendedFile.js'

export type MetricsLog = {
  readonly append: (event: { readonly kind: string; readonly step: number }) => void
  /** Writes all lines so far to the disk. @throws InputError if the file cannot be appended to */
  readonly flush: () => Promise<void>
  /** The number of lines, including those of earlier processes. */
  readonly lines: () => number
  /** The number of expected lines that the file lacks. */
  readonly missing: number
}

/** Opens metrics.jsonl of a run's folder with its first `kept` lines and drops the rest. @throws InputError if the file cannot be written */
export const openMetricsLog = async (output: string, kept: number): Promise<MetricsLog> => {
  const file = join(output, 'metrics.jsonl')
  const present = (await fileInFolder(output, 'metrics.jsonl')) === undefined || kept === 0 ? 0 : await keepLines(file, kept)
  if (present === 0) await writeFileAtomically(file, '')
  const { append, flush } = appendedFile(file)
  let lines = present
  return {
    append: (event) => {
      append(`${JSON.stringify(event)}\n`)
      lines += 1
    },
    flush,
    lines: () => lines,
    missing: kept - present,
  }
}

/** Truncates the file after its first `kept` lines, or after its last complete line. @returns its number of lines */
const keepLines = async (file: string, kept: number): Promise<number> => {
  const handle = await open(file, 'r+').catch((error: unknown) => {
    throw inputError(file, 'a file that can be changed', reason(error))
  })
  try {
    const chunk = Buffer.alloc(1 << 20)
    let [lines, end] = [0, 0]
    for (let at = 0; lines < kept; ) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, at)
      if (bytesRead === 0) break
      for (let i = 0; i < bytesRead && lines < kept; i++) if (chunk[i] === lineBreak) [lines, end] = [lines + 1, at + i + 1]
      at += bytesRead
    }
    await handle.truncate(end)
    await handle.sync()
    return lines
  } finally {
    await handle.close()
  }
}

const lineBreak = 0x0a
