/**
 * A lock on a folder for one process at a time. Each process writes a claim under a name of its own, and withdraws it if another claim belongs
 * to a living process. Of two that come at once, the one that looks later sees both claims. No claim is ever taken over. A claim that is still there
 * after a pause is that of the owner.
 *
 * On the same machine since the same boot, and in the same process namespace, the system knows whether a process lives. It is asked for the id and
 * the start time, because ids are reused. A claim from elsewhere counts as long as it is renewed.
 *
 * Why not proper-lockfile (tried: 4.1.2): of two processes that find the lock of a dead one, both got it in 3 of 300 rounds. It waits ten seconds for
 * a killed owner, takes the lock from one that is stopped, and does not say who has it. Here it is none of 300, at once, and never.
 */
import { randomBytes } from 'node:crypto'
import { lstat, open, readdir, readFile, readlink, stat, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import { z } from 'zod'
import { writeFileAtomically } from './atomicFile.js'
import { readText } from './text.js'
import { InputError, inputError } from '../errors/inputError.js'
import { isAbsent, systemCode, SystemError, systemInputError } from '../errors/systemError.js'
import type { Text } from '../errors/words.js'

export type FolderLock = {
  /** Removes the claims of processes that are gone. */
  readonly clear: () => Promise<void>
  /** @throws InputError if this process did not renew its claim in time and another process took the lock */
  readonly check: () => Promise<void>
  readonly release: () => Promise<void>
}

/** Milliseconds between renewals, and without renewal until a claim from elsewhere expires. A training step may delay renewals. */
export const patience = { renewal: 5_000, silence: 120_000 }

const attempts = 8

const text = z.string().max(1_000)
const schema = z.object({
  host: text,
  /** id of the machine's last boot */
  boot: text.nullable(),
  /** the process namespace */
  numbers: text.nullable(),
  pid: z.int().min(0),
  /** the start of the process, in ticks since that boot */
  born: text.nullable(),
  thread: z.int().min(0),
})
type Claim = z.infer<typeof schema>

/** Locks the folder. `where` is its name in messages. @throws InputError if another process has the lock, or if the folder cannot be written */
export const lockFolder = async (folder: string, where: Text): Promise<FolderLock> => {
  const claim = await newClaim()
  let seen: string | null = null
  for (let attempt = 1; ; attempt++) {
    const start = performance.now()
    const path = join(folder, `lock-${randomBytes(6).toString('hex')}.json`)
    await writeClaim(path, claim)
    try {
      const { rival, gone } = await othersIn(folder, path, claim)
      if (rival === null) return await holdLock(path, claim, gone, where)
      await unlink(path)
      if (rival.file === seen || attempt === attempts) throw inputError(where, 'a folder that no other process is at work in', rival.name)
      seen = rival.file
    } catch (thrown) {
      await unlink(path).catch(() => undefined)
      throw systemInputError(where, 'a folder that can be read and written', thrown)
    }
    // Two processes that came at once both withdrew. One comes back first, if their pauses differ by more than a claim takes, also on a slow disk.
    await pause(20 + (100 + 4 * (performance.now() - start)) * Math.random())
  }
}

/** The owner of the lock removes temporary files when it begins: also that of a claim which is just being written. It is then written again. */
const writeClaim = async (path: string, claim: Claim): Promise<void> => {
  for (let attempt = 1; ; attempt++)
    try {
      return await writeFileAtomically(path, `${JSON.stringify(claim)}\n`)
    } catch (thrown) {
      if (attempt === attempts || !(thrown instanceof SystemError && thrown.code === 'ENOENT')) throw thrown
      await pause(10 * attempt)
    }
}

const holdLock = async (path: string, claim: Claim, gone: readonly string[], where: Text): Promise<FolderLock> => {
  const handle = await open(path, 'r+')
  const bytes = Buffer.from(`${JSON.stringify(claim)}\n`)
  // Written instead of touched, so that the time is that of the disk's own clock, also on a network.
  const renewal = setInterval(() => void handle.write(bytes, 0, bytes.length, 0).catch(() => undefined), patience.renewal).unref()
  return {
    clear: async () => {
      for (const other of gone) await remove(other) // a process that was only silent learns from this that it lost the lock
    },
    check: async () => {
      await stat(path).catch((thrown: unknown) => {
        if (isAbsent(thrown))
          throw inputError(where, 'this process alone at work there', 'another that took over while this one was silent')
        throw systemInputError(path, 'a readable file', thrown)
      })
    },
    release: async () => {
      clearInterval(renewal)
      await handle.close()
      await remove(path)
    },
  }
}

/** Releases the lock of a thread of this process that was terminated. */
export const releaseThread = async (folder: string, thread: number): Promise<void> => {
  const claim = JSON.stringify({ ...(await newClaim()), thread })
  for (const path of await claimsIn(folder).catch(() => [])) if (JSON.stringify(await readClaim(path)) === claim) await remove(path)
}

/** The process that has the folder's lock, in words; null if there is none, or if the folder cannot be written. Takes a free lock for a moment. */
export const findOccupant = async (folder: string): Promise<string | null> => {
  if ((await claimsIn(folder).catch(() => [])).length === 0) return null
  try {
    await (await lockFolder(folder, folder)).release()
    return null
  } catch (thrown) {
    return thrown instanceof InputError && !(thrown instanceof SystemError) ? thrown.got : null
  }
}

/** A claim on a folder, as this process sees it. Anyone who can write there can write a claim. */
export type Claimant = {
  readonly file: string
  readonly host: string
  readonly pid: number
  readonly born: string | null
  /** null if this process cannot know */
  readonly lives: boolean | null
  /** milliseconds since the last renewal */
  readonly silent: number
}

/** Every readable claim on a folder, without links. Changes nothing. */
export const listClaimants = async (folder: string): Promise<readonly Claimant[]> => {
  const claims = await examine(await claimsIn(folder).catch(() => []), await newClaim(), Date.now())
  return claims.flatMap(({ claim, ...signs }) => (claim === null ? [] : { ...signs, host: claim.host, pid: claim.pid, born: claim.born }))
}

/** Another claim whose process may live, and the process in words, or null; and the claims of dead processes before it. */
const othersIn = async (folder: string, path: string, own: Claim) => {
  const others = (await claimsIn(folder)).filter((file) => file !== path)
  const gone: string[] = []
  // compared with the own claim, because on a network the disk has a clock of its own
  for (const { file, claim, lives, silent } of await examine(others, own, (await stat(path)).mtimeMs)) {
    const name = claim === null ? file : `process ${claim.pid} on ${claim.host} (${file})`
    if (lives === true) return { rival: { file, name }, gone }
    if (lives === null && silent <= patience.silence)
      return { rival: { file, name: `${name}; it counts as gone after ${patience.silence / 1000} seconds of silence` }, gone }
    gone.push(file)
  }
  return { rival: null, gone }
}

/** Those of the claims that are still there. Of one that cannot be read, or is a link, nobody knows whether its process lives. */
const examine = async (files: readonly string[], own: Claim, now: number) => {
  const claims: (Pick<Claimant, 'file' | 'lives' | 'silent'> & { readonly claim: Claim | null })[] = []
  for (const file of files) {
    const content = await readClaim(file)
    const stats = await lstat(file).catch(() => null)
    if (stats === null) continue
    const claim = stats.isFile() ? content : null
    claims.push({ file, claim, lives: claim === null ? null : await isAlive(claim, own), silent: now - stats.mtimeMs })
  }
  return claims
}

/** Whether the process of a claim lives; null if this process cannot know. */
const isAlive = async (other: Claim, own: Claim): Promise<boolean | null> => {
  const sameMachine = own.boot === null ? process.platform !== 'linux' && other.host === own.host : other.boot === own.boot
  if (!sameMachine || other.numbers !== own.numbers) return null
  const born = await readStartTime(other.pid)
  if (born !== null) return other.born === null ? null : born === other.born
  try {
    process.kill(other.pid, 0)
    return null
  } catch (thrown) {
    return systemCode(thrown) === 'ESRCH' ? false : null // a hidden process belongs to another user
  }
}

const claimsIn = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder)).filter((name) => /^lock-[0-9a-f]{12}\.json$/.test(name)).map((name) => join(folder, name))

/** Null if the file is absent, cannot be read, or is no claim. */
const readClaim = (path: string): Promise<Claim | null> =>
  readText(path, 10_000)
    .then((json) => schema.safeParse(JSON.parse(json)).data ?? null)
    .catch(() => null)

const remove = (path: string): Promise<void> =>
  unlink(path).catch((thrown: unknown) => {
    if (!isAbsent(thrown)) throw systemInputError(path, 'a file that can be removed', thrown)
  })

const newClaim = async (): Promise<Claim> => ({
  host: hostname(),
  boot: await readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (id) => id.trim(),
    () => null,
  ),
  numbers: await readlink('/proc/self/ns/pid').catch(() => null),
  pid: process.pid,
  born: await readStartTime(process.pid),
  thread: threadId,
})

/** Ticks from the machine's boot to the process's start: field 22 of its stat, after a name of any characters. `dead` for a zombie, null if no process has this number. */
export const readStartTime = async (pid: number): Promise<string | null> => {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [state = '', ...rest] = line.slice(line.lastIndexOf(')') + 2).split(' ')
  return ['Z', 'X'].includes(state) ? 'dead' : (rest[18] ?? null)
}
