/** Lines of several files with the same line numbers, read side by side in pieces, so that no file is in memory as a whole. */
import type { FileHandle } from 'node:fs/promises'
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import { openRegularFile } from '../../accelerated/storage/nodeFiles.js'
import { counted } from '../format/numbers.js'
import { lineText, type TextLine, textLines, unchanged } from './textLines.js'

/** Bytes per line, far more than any sentence has. */
export const longestAlignedLine = 1_000_000

type OpenFile = {
  readonly name: string
  readonly handle: FileHandle
  readonly batches: AsyncGenerator<readonly TextLine[]>
  /** read, but not yet yielded */
  waiting: readonly string[]
  /** lines read so far */
  read: number
}

/**
 * Yields one list of lines per file, all of the same length, in order. A line feed ends a line, an empty one too; the last line needs none.
 * @param onRead bytes of the first file that are read, and its size
 * @throws InputError for a file that is not regular, is empty, or has another number of lines. It also refuses a line that is too long, or that is
 * not UTF-8.
 */
export async function* pairedLines(
  files: readonly string[],
  onRead: (bytes: number, of: number) => void = () => undefined,
): AsyncGenerator<readonly (readonly string[])[]> {
  const open: OpenFile[] = []
  try {
    for (const [i, name] of files.entries()) {
      const { handle, size } = await openRegularFile(name)
      const bytes = readChunks(handle, (read) => (i === 0 ? onRead(read, size) : undefined))
      const batches = textLines(bytes, unchanged, longestAlignedLine)
      open.push({ name, handle, batches, waiting: [], read: 0 })
      if (size === 0) throw inputError(name, 'at least one line', 'an empty file')
    }
    for (;;) {
      const has: boolean[] = []
      for (const file of open) has.push(await refill(file))
      if (has.includes(false)) {
        if (has.includes(true)) await refuse(open)
        return
      }
      const length = open.reduce((least, { waiting }) => Math.min(least, waiting.length), Infinity)
      yield open.map(({ waiting }) => waiting.slice(0, length))
      for (const file of open) file.waiting = file.waiting.slice(length)
    }
  } finally {
    for (const { batches, handle } of open) {
      await batches.return(undefined)
      await handle.close()
    }
  }
}

async function* readChunks(handle: FileHandle, onRead: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  let read = 0
  for await (const chunk of handle.createReadStream({ highWaterMark: 2 ** 20 }) as AsyncIterable<Uint8Array>) {
    read += chunk.length
    onRead(read)
    yield chunk
  }
}

/** Whether the file has more lines; reads some if none are waiting. */
const refill = async (file: OpenFile): Promise<boolean> => {
  while (file.waiting.length === 0) {
    const { done, value } = await file.batches.next()
    if (done === true) return false
    file.waiting = value.map((line) => lineText(file.name, line))
    file.read += file.waiting.length
  }
  return true
}

/** Counts the lines of all files. @throws InputError for the first file whose count differs */
const refuse = async (open: readonly OpenFile[]): Promise<never> => {
  for (const file of open) while (await refill(file)) file.waiting = []
  const [first, ...others] = open
  const other = others.find(({ read }) => read !== first?.read)
  throw inputError(
    other?.name ?? '',
    `${counted(first?.read ?? 0)} lines, as many as ${oneLine(first?.name ?? '')} has`,
    counted(other?.read ?? 0),
  )
}
