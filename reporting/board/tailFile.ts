/** A file that grows, read from where it was left: a look costs what is new in it. One that was cut, or begun anew, is read from its beginning. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { inputError } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemInputError } from '../../accelerated/errors/systemError.js'

export type Tail = {
  /** Gives whole lines that are new to `take`. @returns whether there were any, or the file began anew. @throws Mistake for what is no plain file */
  readonly look: () => Promise<boolean>
}

export type TailOptions = {
  /** bytes are good until it returns */
  readonly take: (line: Buffer) => void
  /** what was taken so far counts no more */
  readonly forget: () => void
  /** at first only the lines in the last so many bytes; absent: all */
  readonly last?: number
  /** bytes of one look; absent: 64 MiB */
  readonly most?: number
}

/** Bytes at a time: between two pieces others have their turn. */
const piece = 1 << 18
/** Bytes of one look: what is longer goes on at the next, so that no file holds up the others. */
const usualMost = 1 << 26
/** Bytes before the place where it was left, by which a file that was cut and has grown again is known. */
const known = 512
/** Bytes of a line; a line of ranks of a thousand matrices has a tenth of it. What is longer is passed over. */
const longestLine = 1 << 20

const lineFeed = 0x0a
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

type Seen = { readonly ino: number; readonly size: number; readonly mtimeMs: number }

export const openTail = (file: string, { take, forget, last, most = usualMost }: TailOptions): Tail => {
  let seen: Seen | null = null
  let at = 0 // read so far
  let before: Buffer = Buffer.alloc(0) // the bytes before it
  let rest: Buffer[] = [] // of a line whose end is not there yet
  let restLength = 0
  let skips = false // up to the next end of a line

  const begin = (size: number): void => {
    forget()
    at = last === undefined ? 0 : Math.max(0, size - last)
    ;[before, rest, restLength, skips] = [Buffer.alloc(0), [], 0, at > 0]
  }

  const lines = (bytes: Buffer): void => {
    let start = 0
    for (let feed = bytes.indexOf(lineFeed); feed !== -1; feed = bytes.indexOf(lineFeed, start)) {
      if (!skips) take(restLength === 0 ? bytes.subarray(start, feed) : Buffer.concat([...rest, bytes.subarray(start, feed)]))
      ;[rest, restLength, skips] = [[], 0, false]
      start = feed + 1
    }
    if (start === bytes.length || skips) return
    restLength += bytes.length - start
    if (restLength > longestLine) [rest, restLength, skips] = [[], 0, true]
    else rest.push(Buffer.from(bytes.subarray(start)))
  }

  const isOther = async (handle: FileHandle, now: Seen): Promise<boolean> => {
    if (seen === null || now.ino !== seen.ino || now.size < at) return true
    const bytes = Buffer.alloc(before.length)
    await handle.read(bytes, 0, bytes.length, at - before.length)
    return !bytes.equals(before)
  }

  return {
    look: async () => {
      const handle = await open(file, flags).catch((thrown: unknown) => {
        if (isAbsent(thrown)) return null
        throw systemInputError(file, 'a file within the folder', thrown)
      })
      if (handle === null) {
        const was = seen !== null
        seen = null
        if (was) begin(0)
        return was
      }
      try {
        const stat = await handle.stat()
        if (!stat.isFile()) throw inputError(file, 'a regular file', 'something else')
        const now = { ino: stat.ino, size: stat.size, mtimeMs: stat.mtimeMs }
        if (seen?.ino === now.ino && seen.size === now.size && seen.mtimeMs === now.mtimeMs && at === now.size) return false
        const anew = await isOther(handle, now)
        if (anew) begin(now.size)
        seen = now
        const from = at
        const buffer = Buffer.allocUnsafe(Math.min(piece, Math.max(1, now.size - at)))
        while (at < now.size && at - from < most) {
          const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, now.size - at), at)
          if (bytesRead === 0) break // cut meanwhile: the next look sees it
          const bytes = buffer.subarray(0, bytesRead)
          lines(bytes)
          at += bytesRead
          before = Buffer.concat([before, bytes]).subarray(-known)
        }
        before = Buffer.from(before) // not the whole piece that it is a part of
        return anew || at > from
      } catch (thrown) {
        throw systemInputError(file, 'a readable file', thrown)
      } finally {
        await handle.close()
      }
    },
  }
}
