/** metrics.jsonl: one line an event. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { fileInFolder } from '../../accelerated/storage/fileInFolder.js'
import { appendedFile } from './appendedFile.js'

export type MetricsLog = {
  readonly append: (event: { readonly kind: string; readonly step: number }) => void
  /** all lines so far are on the disk */
  readonly flush: () => Promise<void>
  /** lines so far, those before this process included */
  readonly lines: () => number
  /** lines that were expected in the file and are not there */
  readonly missing: number
}

/** Opens metrics.jsonl of a run's folder with its first `kept` lines; what follows them is dropped. Throws Mistake where it cannot be written. */
export const openMetricsLog = async (output: string, kept: number): Promise<MetricsLog> => {
  const file = join(output, 'metrics.jsonl')
  const there = (await fileInFolder(output, 'metrics.jsonl')) === undefined || kept === 0 ? 0 : await keepLines(file, kept)
  if (there === 0) await writeFileAtomically(file, '')
  const { append, flush } = appendedFile(file)
  let lines = there
  return {
    append: (event) => {
      append(`${JSON.stringify(event)}\n`)
      lines += 1
    },
    flush,
    lines: () => lines,
    missing: kept - there,
  }
}

/** Cuts the file after its first `kept` lines, or after its last whole one. @returns how many it then has */
const keepLines = async (file: string, kept: number): Promise<number> => {
  const handle = await open(file, 'r+').catch((error: unknown) => {
    throw inputError(file, 'a file that can be changed', reason(error))
  })
  try {
    const piece = Buffer.alloc(1 << 20)
    let [lines, end] = [0, 0]
    for (let at = 0; lines < kept; ) {
      const { bytesRead } = await handle.read(piece, 0, piece.length, at)
      if (bytesRead === 0) break
      for (let i = 0; i < bytesRead && lines < kept; i++) if (piece[i] === lineBreak) [lines, end] = [lines + 1, at + i + 1]
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
