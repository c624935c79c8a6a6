/** A file that entries are appended to in groups, so that appending never waits for the disk. */
import { systemInputError } from '../../accelerated/errors/systemError.js'
import { openNow, writeAll } from '../../accelerated/storage/atomicFile.js'

export type AppendedFile = {
  readonly append: (entry: string | Uint8Array) => void
  /** Writes all entries so far to the disk. @throws InputError if the file cannot be appended to */
  readonly flush: () => Promise<void>
}

const groupSize = 20
/** Milliseconds after which a smaller group is written too, so that each step of a slow run shows. */
const flushInterval = 1_000

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
      if (waiting.length >= groupSize || performance.now() - last >= flushInterval) flush().catch(() => undefined) // the next awaited flush reports it
    },
    flush,
  }
}

/** Appends and syncs: a checkpoint relies on the entries before it. @throws InputError if the file cannot be appended to */
const appendDurably = async (file: string, bytes: Uint8Array): Promise<void> => {
  try {
    const opened = await openNow(file, 'a')
    try {
      await writeAll(opened, bytes)
      await opened.sync()
    } finally {
      await opened.close()
    }
  } catch (error) {
    throw systemInputError(file, 'a file that can be appended to', error)
  }
}
