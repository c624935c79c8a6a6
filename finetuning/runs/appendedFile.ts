/** A file that grows by groups of entries, or by those of a second, so that what adds one never waits for the disk. */
import { open } from 'node:fs/promises'
import { systemInputError } from '../../accelerated/errors/systemError.js'

export type AppendedFile = {
  readonly append: (entry: string | Uint8Array) => void
  /** all entries so far are on the disk. Throws Mistake. */
  readonly flush: () => Promise<void>
}

const entriesInAGroup = 20
/** Milliseconds after which fewer are written too: whoever looks at a run of slow steps sees each. */
const patience = 1_000

export const appendedFile = (file: string): AppendedFile => {
  let waiting: Uint8Array[] = []
  let last = performance.now()
  let writing: Promise<void> = Promise.resolve()
  const flush = (): Promise<void> => {
    const bytes = Buffer.concat(waiting)
    waiting = []
    last = performance.now()
    writing = writing.then(() => (bytes.length === 0 ? undefined : appendDurably(file, bytes)))
    return writing
  }
  return {
    append: (entry) => {
      waiting.push(typeof entry === 'string' ? Buffer.from(entry) : entry)
      if (waiting.length >= entriesInAGroup || performance.now() - last >= patience) flush().catch(() => undefined) // the next awaited flush reports it
    },
    flush,
  }
}

/** Flushed to the disk: a checkpoint counts on the entries before it. Throws Mistake. */
const appendDurably = async (file: string, bytes: Uint8Array): Promise<void> => {
  try {
    const handle = await open(file, 'a')
    try {
      await handle.appendFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw systemInputError(file, 'a file that can be appended to', error)
  }
}
