/**
 * Files that change while the board reads them. A small one is read whole, and a growing one is followed: each read costs only what is new.
 * One that was truncated or replaced is read again from its start.
 */
import { constants, type Stats } from 'node:fs'
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

export const openTail = (file: string, { onLine, onReset, lastBytes, maxBytes = defaultMaxBytes }: TailOptions): TailedFile => {
  /** ino, size and mtime at the last read; null if there was no file */
  let stats: Pick<Stats, 'ino' | 'size' | 'mtimeMs'> | null = null
  /** bytes read so far, and the last ones of them */
  let [offset, context] = [0, Buffer.alloc(0)]
  let split = lineSplitter(onLine, false)
  const restart = (size: number): void => {
    onReset()
    ;[offset, context] = [lastBytes === undefined ? 0 : Math.max(0, size - lastBytes), Buffer.alloc(0)]
    split = lineSplitter(onLine, offset > 0)
  }
  /** Whether the bytes before the offset are still the ones that were read. */
  const isSame = async (handle: FileHandle, now: Stats): Promise<boolean> => {
    if (now.ino !== stats?.ino || now.size < offset) return false
    const bytes = Buffer.alloc(context.length)
    await handle.read(bytes, 0, bytes.length, offset - context.length)
    return bytes.equals(context)
  }
  const readOpen = async (handle: FileHandle): Promise<boolean> => {
    const now = await handle.stat()
    if (!now.isFile()) throw inputError(file, 'a regular file', 'something else')
    if (stats?.ino === now.ino && stats.size === now.size && stats.mtimeMs === now.mtimeMs && offset === now.size) return false
    const isRestarted = !(await isSame(handle, now))
    if (isRestarted) restart(now.size)
    stats = { ino: now.ino, size: now.size, mtimeMs: now.mtimeMs }
    const [before, end] = [offset, Math.min(now.size, offset + maxBytes)]
    const buffer = Buffer.allocUnsafe(Math.min(chunkSize, Math.max(1, end - offset)))
    while (offset < end) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, end - offset), offset)
      if (bytesRead === 0) break // truncated meanwhile: the next read notices it
      split(buffer.subarray(0, bytesRead))
      offset += bytesRead
      context = Buffer.concat([context, buffer.subarray(0, bytesRead)].map((bytes) => bytes.subarray(-contextSize))).subarray(-contextSize)
    }
    return isRestarted || offset > before
  }
  return {
    read: async () => {
      const handle = await open(file, openFlags).catch((thrown: unknown) => {
        if (isAbsent(thrown)) return null
        throw systemInputError(file, 'a file within the folder', thrown)
      })
      if (handle === null) {
        const existed = stats !== null
        stats = null
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

/** Splits chunks into lines, and keeps an incomplete line until its end arrives. @param isSkipping whether the first line is incomplete */
const lineSplitter = (onLine: (line: Buffer) => void, isSkipping: boolean): ((chunk: Buffer) => void) => {
  let pending = Buffer.alloc(0)
  return (chunk) => {
    let start = 0
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', start)) {
      const rest = chunk.subarray(start, end)
      if (!isSkipping) onLine(pending.length === 0 ? rest : Buffer.concat([pending, rest]))
      ;[pending, isSkipping] = [Buffer.alloc(0), false]
      start = end + 1
    }
    if (!isSkipping) pending = Buffer.concat([pending, chunk.subarray(start)]) // a copy: the chunk is read into again
    if (pending.length > maxLineLength) [pending, isSkipping] = [Buffer.alloc(0), true]
  }
}

/** Maximum bytes: ranks of a thousand layers need 1 MB. A larger file would delay all other runs. */
const sizeLimit = 2_000_000

/** Changes whenever the file changes. */
export const readStamp = async (file: string): Promise<string> => {
  const stats = await lstat(file).catch(() => null)
  return stats === null ? '-' : `${stats.ino} ${stats.size} ${stats.mtimeMs}`
}

/** @throws InputError if the file is too large */
export const readSmallFile = async <Content>(file: string, read: () => Promise<Content>): Promise<Content> => {
  const { size } = (await lstat(file).catch(() => null)) ?? { size: 0 }
  if (size > sizeLimit) throw inputError(file, `at most ${sizeLimit} bytes to be shown on a board`, `${size}`)
  return read()
}
