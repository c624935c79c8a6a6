/** metrics.jsonl: one line an event. Lines are appended in groups, so that a step never waits for the disk. */
import { open, readFile } from 'node:fs/promises'
import { writeFileAtomically } from '../accelerated/checkpoint/atomicFile.js'
import { fileError, reason } from '../accelerated/checkpoint/fileError.js'

export type MetricsLog = {
  readonly append: (event: { readonly kind: string; readonly step: number }) => void
  /** all lines so far are on the disk */
  readonly flush: () => Promise<void>
  /** lines so far, those before this process included */
  readonly lines: () => number
  /** lines that were expected in the file and are not there */
  readonly missing: number
}

const linesInAGroup = 20

/** Opens the file with its first `kept` lines; what follows them is dropped. Throws FileError where it cannot be written. */
export const openMetricsLog = async (file: string, kept: number): Promise<MetricsLog> => {
  const there = (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(0, -1).slice(0, kept) // what follows the last line break was cut short
  await writeFileAtomically(file, there.map((line) => `${line}\n`).join(''))
  let lines = there.length
  let waiting: string[] = []
  let writing: Promise<void> = Promise.resolve()
  const flush = (): Promise<void> => {
    const text = waiting.join('')
    waiting = []
    writing = writing.then(() => (text === '' ? undefined : appendDurably(file, text))).catch((error: unknown) => { throw fileError(file, 'a file that can be appended to', reason(error)) })
    return writing
  }
  return {
    append: (event) => {
      waiting.push(`${JSON.stringify(event)}\n`)
      lines += 1
      if (waiting.length >= linesInAGroup) flush().catch(() => undefined) // the next awaited flush reports it
    },
    flush,
    lines: () => lines,
    missing: kept - there.length,
  }
}

/** Flushed to the disk: a checkpoint counts on the lines before it. */
const appendDurably = async (file: string, text: string): Promise<void> => {
  const handle = await open(file, 'a')
  try {
    await handle.appendFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
