/** Lines of several files that belong together by their numbers, read side by side a piece at a time, so that no file is held whole. */
import type { FileHandle } from 'node:fs/promises'
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import { openRegularFile } from '../../accelerated/storage/regularFile.js'
import { counted } from '../format/numbers.js'
import { type ReadLine, type TextLine, textLines } from './textLines.js'

/** Bytes of a line: no sentence has a thousandth of them. */
export const longestAlignedLine = 1_000_000

const asIs: ReadLine = (text, line) => ({ line, given: { text } })

type OpenFile = {
  readonly name: string
  readonly handle: FileHandle
  readonly batches: AsyncGenerator<ReadonlyArray<TextLine>>
  /** read and not given out */
  waiting: ReadonlyArray<string>
  /** lines, so far */
  read: number
}

/**
 * Lists of lines, one for each file and of one length, in order; `told` hears how many bytes of how many of the first file are read. Every
 * line feed ends a line, an empty one too, and the last line needs none.
 * @throws InputError for what is no plain file, is empty, has a line that is not UTF-8 or too long, or more or fewer lines than the first
 */
export async function* pairedLines(
  files: ReadonlyArray<string>,
  told: (bytes: number, of: number) => void = () => undefined,
): AsyncGenerator<ReadonlyArray<ReadonlyArray<string>>> {
  const open: OpenFile[] = []
  try {
    for (const [i, name] of files.entries()) {
      const { handle, size } = await openRegularFile(name)
      const bytes = bytesOf(handle, (read) => (i === 0 ? told(read, size) : undefined))
      const batches = textLines(bytes, asIs, longestAlignedLine)
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

async function* bytesOf(handle: FileHandle, told: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  let read = 0
  for await (const chunk of handle.createReadStream({ highWaterMark: 2 ** 20 }) as AsyncIterable<Uint8Array>) {
    read += chunk.length
    told(read)
    yield chunk
  }
}

/** Whether there are lines, read where none was left. */
const refill = async (file: OpenFile): Promise<boolean> => {
  while (file.waiting.length === 0) {
    const { done, value } = await file.batches.next()
    if (done === true) return false
    file.waiting = value.map((line) => textOf(file.name, line))
    file.read += file.waiting.length
  }
  return true
}

const textOf = (file: string, line: TextLine): string => {
  if ('problem' in line) {
    const [, expected = '', got = ''] = /^expected (.*), got (.*)$/.exec(line.problem) ?? []
    throw inputError(`${file}, line ${line.line}`, expected, got)
  }
  return line.given.text
}

/** Reads all files to their ends, to say how many lines they have. */
const refuse = async (open: ReadonlyArray<OpenFile>): Promise<never> => {
  for (const file of open) while (await refill(file)) file.waiting = []
  const [first, ...others] = open
  const other = others.find(({ read }) => read !== first?.read)
  throw inputError(
    other?.name ?? '',
    `${counted(first?.read ?? 0)} lines, as many as ${oneLine(first?.name ?? '')} has`,
    counted(other?.read ?? 0),
  )
}
