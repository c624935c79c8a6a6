/** A file that is still being downloaded. It is one process's own; what an earlier one left of it is taken over, from a living one nothing. */
import { createHash, randomBytes } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { open, readdir, rename, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { writeError } from '../../errors/systemError.js'

export type PartialFile = {
  /** bytes known to be there from the start of the file */
  readonly size: () => number
  /** writes the pieces one after another from byte `start` on and cuts the file after them; bytes before an error stay */
  readonly writeFrom: (start: number, pieces: AsyncIterable<Uint8Array>) => Promise<void>
  readonly close: () => Promise<void>
}

/**
 * A name for `blob` while it is being downloaded, that no other process uses. What an interrupted download left, or one whose process is
 * gone, is there then, to go on with. BLOB.incomplete itself is let be: with that name Python's tools download.
 */
export const claimPartial = async (blob: string): Promise<string> => {
  const own = `${blob}.incomplete.${here}.${process.pid}.${randomBytes(6).toString('hex')}`
  const names = await readdir(dirname(blob)).catch(() => [])
  for (const name of names.filter((other) => isLeft(other, basename(blob)))) {
    const claimed = await rename(join(dirname(blob), name), own).then(
      () => true,
      () => false, // somebody else was first; what is wrong with the folder, opening the file will tell
    )
    if (claimed) break
  }
  return own
}

/** Leaves an interrupted download for whoever tries next. */
export const releasePartial = (own: string, blob: string): Promise<void> => rename(own, `${blob}.incomplete.left`).catch(() => undefined)

const here = hostname().replace(/[^\w-]/g, '_')

/** Whether the file is left of a download of `blob` that is over. Of another machine's processes nothing is known: theirs are let be. */
const isLeft = (name: string, blob: string): boolean => {
  if (name === `${blob}.incomplete.left`) return true
  const [, host, pid] = name.startsWith(`${blob}.incomplete.`) ? (/\.incomplete\.([\w-]*)\.(\d+)\.[0-9a-f]{12}$/.exec(name) ?? []) : []
  return host === here && !lives(Number(pid))
}

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return !(thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH')
  }
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
