/** A partial download. Each process has its own file, and takes over what a finished process left. */
import { createHash, randomBytes } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { open, readdir, rename, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { writeError } from '../../errors/systemError.js'

export type PartialFile = {
  /** bytes that the file has */
  readonly size: () => number
  /** Writes the chunks from byte `start` on and truncates the file after them. The bytes before an error stay. */
  readonly writeFrom: (start: number, chunks: AsyncIterable<Uint8Array>) => Promise<void>
  readonly close: () => Promise<void>
}

/**
 * A name for a partial download of `blob` that no other process uses. If an interrupted download or a dead process left a partial file, it
 * gets that name. BLOB.incomplete is not touched, because Python's tools use it.
 */
export const claimPartial = async (blob: string): Promise<string> => {
  const path = `${blob}.incomplete.${here}.${process.pid}.${randomBytes(6).toString('hex')}`
  const names = await readdir(dirname(blob)).catch(() => [])
  for (const name of names.filter((other) => isLeft(other, basename(blob)))) {
    const claimed = await rename(join(dirname(blob), name), path).then(
      () => true,
      () => false, // another process was faster, or opening the file will report what is wrong with the folder
    )
    if (claimed) break
  }
  return path
}

/** Leaves an interrupted download to the next attempt. */
export const releasePartial = (path: string, blob: string): Promise<void> => rename(path, `${blob}.incomplete.left`).catch(() => undefined)

const here = hostname().replace(/[^\w-]/g, '_')

/** Whether a file is left over from a download of `blob` that has ended. Files of another machine's processes are not touched. */
const isLeft = (name: string, blob: string): boolean => {
  if (name === `${blob}.incomplete.left`) return true
  const [, host, pid] = name.startsWith(`${blob}.incomplete.`) ? (/\.incomplete\.([\w-]*)\.(\d+)\.[0-9a-f]{12}$/.exec(name) ?? []) : []
  return host === here && !isAlive(Number(pid))
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return !(thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH')
  }
}

/** Opens the file with its bytes, or creates it. A link of that name is not followed. @throws InputError */
export const partialFile = async (path: string): Promise<PartialFile> => {
  const guarded = <T>(action: Promise<T>): Promise<T> =>
    action.catch((thrown: unknown) => {
      throw writeError(path, thrown)
    })
  const handle = await guarded(open(path, constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0), 0o644))
  let size = (await handle.stat()).size
  return {
    size: () => size,
    writeFrom: async (start, chunks) => {
      let at = start
      for await (const chunk of chunks) {
        for (let done = 0; done < chunk.length; )
          done += (await guarded(handle.write(chunk, done, chunk.length - done, at + done))).bytesWritten
        at += chunk.length
        size = Math.max(size, at)
      }
      await guarded(handle.truncate(at))
      size = at
      await guarded(handle.sync())
    },
    close: () => handle.close(),
  }
}

/** The hub's hash of a file in hexadecimal: git's SHA-1 of a blob, which starts with the length, or plain SHA-256. */
export const hashOf = async (path: string, kind: 'git' | 'sha256'): Promise<string> => {
  const hash = createHash(kind === 'git' ? 'sha1' : 'sha256')
  if (kind === 'git') hash.update(`blob ${(await stat(path)).size}\0`)
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
