/**
 * Files that change while the board reads them. A small one is read whole, and a growing one is followed: each read costs only what is new.
 * One that was truncated or replaced is read again from its start.
 */
import { constants } from 'node:fs'
import { lstat, open, type FileHandle } from 'node:fs/promises'
import { inputError } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemInputError } from '../../accelerated/errors/systemError.js'

export type TailedFile = {
  /**
   * Passes new complete lines to `onLine`.
   * @returns whether there were new bytes, or the file was read again from its start
   * @throws InputError if it is not a regular file, or cannot be read
   */
  readonly read: () => Promise<boolean>
}

export type TailOptions = {
  /** the bytes are valid until it returns */
  readonly onLine: (line: Buffer) => void
  /** all lines so far are invalid */
  readonly onReset: () => void
  /** read only the lines in the last bytes of the file; absent: all lines */
  readonly lastBytes?: number
  /** maximum number of bytes of one read; absent: 64 MiB */
  readonly maxBytes?: number
}

/** Bytes that are read at once: other work runs in between. */
const chunkSize = 1 << 18
/** A longer file is continued at the next read, so that no file delays the others. */
const defaultMaxBytes = 1 << 26
/** Bytes before the current position. If they have changed, the file has been truncated or replaced. */
const contextSize = 512
/** Maximum bytes of a line: ranks of a thousand matrices need a tenth. Longer lines are skipped. */
const maxLineLength = 1 << 20

/** Links are not followed, and a named pipe does not block. */
const openFlags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

type FileStats = { readonly ino: number; readonly size: number; readonly mtimeMs: number }

type Position = {
  /** stats at the last read; null if there was no file */
  stats: FileStats | null
  /** bytes read so far */
  offset: number
  /** the last bytes before the offset */
  context: Buffer
}

export const openTail = (file: string, { onLine, onReset, lastBytes, maxBytes = defaultMaxBytes }: TailOptions): TailedFile => {
  const position: Position = { stats: null, offset: 0, context: Buffer.alloc(0) }
  let splitter = lineSplitter(onLine, false)
  const restart = (size: number): void => {
    onReset()
    position.offset = lastBytes === undefined ? 0 : Math.max(0, size - lastBytes)
    position.context = Buffer.alloc(0)
    splitter = lineSplitter(onLine, position.offset > 0)
  }
  const readOpen = async (handle: FileHandle): Promise<boolean> => {
    const stats = await handle.stat()
    if (!stats.isFile()) throw inputError(file, 'a regular file', 'something else')
    if (isUnchanged(position, stats)) return false
    const isRestarted = !(await isSameFile(handle, position, stats))
    if (isRestarted) restart(stats.size)
    position.stats = { ino: stats.ino, size: stats.size, mtimeMs: stats.mtimeMs }
    const before = position.offset
    await readChunks(handle, position, Math.min(stats.size, before + maxBytes), splitter)
    return isRestarted || position.offset > before
  }
  return {
    read: async () => {
      const handle = await openFile(file)
      if (handle === null) {
        const existed = position.stats !== null
        position.stats = null
        if (existed) restart(0)
        return existed
      }
      try {
        return await readOpen(handle)
      } catch (thrown) {
        throw systemInputError(file, 'a readable file', thrown)
      } finally {
        await handle.close()
      }
    },
  }
}

const openFile = (file: string): Promise<FileHandle | null> =>
  open(file, openFlags).catch((thrown: unknown) => {
    if (isAbsent(thrown)) return null
    throw systemInputError(file, 'a file within the folder', thrown)
  })

const isUnchanged = ({ stats, offset }: Position, now: FileStats): boolean =>
  stats?.ino === now.ino && stats.size === now.size && stats.mtimeMs === now.mtimeMs && offset === now.size

/** Whether the bytes before the offset are still the ones that were read. */
const isSameFile = async (handle: FileHandle, { stats, offset, context }: Position, now: FileStats): Promise<boolean> => {
  if (stats === null || now.ino !== stats.ino || now.size < offset) return false
  const bytes = Buffer.alloc(context.length)
  await handle.read(bytes, 0, bytes.length, offset - context.length)
  return bytes.equals(context)
}

/** Reads up to `end`, and advances the position. */
const readChunks = async (handle: FileHandle, position: Position, end: number, splitter: LineSplitter): Promise<void> => {
  const buffer = Buffer.allocUnsafe(Math.min(chunkSize, Math.max(1, end - position.offset)))
  let { context } = position
  while (position.offset < end) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, end - position.offset), position.offset)
    if (bytesRead === 0) break // truncated meanwhile: the next read notices it
    const bytes = buffer.subarray(0, bytesRead)
    splitter(bytes)
    position.offset += bytesRead
    context = Buffer.concat([context, bytes]).subarray(-contextSize)
  }
  position.context = Buffer.from(context) // a copy, which does not keep the whole chunk in memory
}

type LineSplitter = (bytes: Buffer) => void

const lineFeed = 0x0a

/** Splits chunks into lines, and keeps an incomplete line until its end arrives. @param skipsFirst whether the first line is incomplete */
const lineSplitter = (onLine: (line: Buffer) => void, skipsFirst: boolean): LineSplitter => {
  let pending: Buffer[] = []
  let pendingLength = 0
  let isSkipping = skipsFirst
  return (bytes) => {
    let start = 0
    for (let end = bytes.indexOf(lineFeed); end !== -1; end = bytes.indexOf(lineFeed, start)) {
      const rest = bytes.subarray(start, end)
      if (!isSkipping) onLine(pendingLength === 0 ? rest : Buffer.concat([...pending, rest]))
      ;[pending, pendingLength, isSkipping] = [[], 0, false]
      start = end + 1
    }
    if (start === bytes.length || isSkipping) return
    pendingLength += bytes.length - start
    if (pendingLength > maxLineLength) [pending, pendingLength, isSkipping] = [[], 0, true]
    else pending.push(Buffer.from(bytes.subarray(start)))
  }
}

/** Maximum bytes: ranks of a thousand layers need 1 MB. A larger file would delay all other runs. */
const sizeLimit = 2_000_000

/** Changes whenever the file changes. */
export const stampOf = async (file: string): Promise<string> => {
  const stats = await lstat(file).catch(() => null)
  return stats === null ? '-' : `${stats.ino} ${stats.size} ${stats.mtimeMs}`
}

/** @throws InputError if the file is too large */
export const readSmallFile = async <Content>(file: string, read: () => Promise<Content>): Promise<Content> => {
  const { size } = (await lstat(file).catch(() => null)) ?? { size: 0 }
  if (size > sizeLimit) throw inputError(file, `at most ${sizeLimit} bytes to be shown on a board`, `${size}`)
  return read()
}
