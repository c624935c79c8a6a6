/** A file that is still being downloaded: bytes are written in their places, so that two processes at once write the same. */
import { createHash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { writeError } from '../systemError.js'

export type PartialFile = {
  /** bytes known to be there from the start of the file */
  readonly size: () => number
  /** writes the pieces one after another from byte `start` on and cuts the file after them; bytes before an error stay */
  readonly writeFrom: (start: number, pieces: AsyncIterable<Uint8Array>) => Promise<void>
  readonly close: () => Promise<void>
}

/** Opens the file, with what an earlier download left in it, or creates it; a link of that name is not followed. Throws Mistake. */
export const partialFile = async (path: string): Promise<PartialFile> => {
  const guarded = <T>(action: Promise<T>): Promise<T> =>
    action.catch((thrown: unknown) => {
      throw writeError(path, thrown)
    })
  const handle = await guarded(open(path, constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0), 0o644))
  let size = (await handle.stat()).size
  return {
    size: () => size,
    writeFrom: async (start, pieces) => {
      let at = start
      for await (const piece of pieces) {
        for (let done = 0; done < piece.length; )
          done += (await guarded(handle.write(piece, done, piece.length - done, at + done))).bytesWritten
        at += piece.length
        size = Math.max(size, at)
      }
      await guarded(handle.truncate(at))
      size = at
      await guarded(handle.sync())
    },
    close: () => handle.close(),
  }
}

/** The hash in hex by which the hub names a file's content: git's of a blob, which counts the length first, or plain SHA-256. */
export const hashOf = async (path: string, kind: 'git' | 'sha256'): Promise<string> => {
  const hash = createHash(kind === 'git' ? 'sha1' : 'sha256')
  if (kind === 'git') hash.update(`blob ${(await stat(path)).size}\0`)
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(piece as Buffer)
  return hash.digest('hex')
}
