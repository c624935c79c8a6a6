/**
 * One process at a time in a folder. Each writes a claim under a name of its own, then looks for others' claims and withdraws where one is of a
 * process that lives: of two that come at once, the later to look sees both. No claim is ever taken over, so none is taken by mistake.
 *
 * Whether a process lives is asked of the system where that can be: on the same machine since the same start, in the same space of process
 * numbers, by number and time of birth, so that a number used again does not count. Elsewhere a claim counts for as long as it is renewed.
 */
import { randomBytes } from 'node:crypto'
import { lstat, open, readdir, readFile, readlink, stat, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import { z } from 'zod'
import { writeFileAtomically } from './atomicFile.js'
import { readText } from './boundedJson.js'
import { InputError, inputError } from '../errors/inputError.js'
import { isAbsent, systemCode, SystemError, systemInputError } from '../errors/systemError.js'

export type FolderLock = {
  /** Removes the claims of processes that are gone. */
  readonly clear: () => Promise<void>
  /** Throws Mistake where this process was silent for so long that another went to work here. */
  readonly check: () => Promise<void>
  readonly release: () => Promise<void>
}

/** Milliseconds between renewals, and of silence after which a claim that nothing else is known of counts no more. A step of training may hold renewals up. */
export const patience = { renewal: 5_000, silence: 120_000 }

const attempts = 4

const text = z.string().max(1_000)
const schema = z.object({
  host: text,
  /** of the machine's last start */
  boot: text.nullable(),
  /** the space that the process's number is of */
  numbers: text.nullable(),
  pid: z.int().min(0),
  /** when the process was born, in ticks since that start */
  born: text.nullable(),
  thread: z.int().min(0),
})
type Claim = z.infer<typeof schema>

/** Takes the folder. `where` is what to call it in messages. Throws Mistake where another process is at work there, or it cannot be written. */
export const lockFolder = async (folder: string, where: string): Promise<FolderLock> => {
  const claim = await ownClaim()
  for (let attempt = 1; ; attempt++) {
    const path = join(folder, `lock-${randomBytes(6).toString('hex')}.json`)
    await writeFileAtomically(path, `${JSON.stringify(claim)}\n`)
    try {
      const { rival, gone } = await othersIn(folder, path, claim)
      if (rival === null) return await heldBy(path, claim, gone, where)
      await unlink(path)
      if (attempt === attempts) throw inputError(where, 'a folder that no other process is at work in', rival)
    } catch (thrown) {
      await unlink(path).catch(() => undefined)
      throw systemInputError(where, 'a folder that can be read and written', thrown)
    }
    // two that came at once both withdrew: one of them comes back first
    await pause(20 + 100 * Math.random())
  }
}

const heldBy = async (path: string, claim: Claim, gone: ReadonlyArray<string>, where: string): Promise<FolderLock> => {
  const handle = await open(path, 'r+')
  const bytes = Buffer.from(`${JSON.stringify(claim)}\n`)
  // written and not touched: the time is then that of the disk's own clock, on a network too
  const renewal = setInterval(() => void handle.write(bytes, 0, bytes.length, 0).catch(() => undefined), patience.renewal).unref()
  return {
    clear: async () => {
      for (const other of gone) await removed(other) // those of the beginning: by this its process knows, if it was but silent
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
      await removed(path)
    },
  }
}

/** Takes back what a thread of this process claimed that was ended from outside. */
export const releaseThread = async (folder: string, thread: number): Promise<void> => {
  const own = { ...(await ownClaim()), thread }
  for (const path of await claimsIn(folder).catch(() => []))
    if (JSON.stringify(await read(path).catch(() => null)) === JSON.stringify(own)) await removed(path)
}

/** What keeps others out of the folder, in words; null where nothing does, or the folder cannot be written. Without it, the folder is ours for a moment. */
export const occupantOf = async (folder: string): Promise<string | null> => {
  if ((await claimsIn(folder).catch(() => [])).length === 0) return null
  try {
    await (await lockFolder(folder, folder)).release()
    return null
  } catch (thrown) {
    return thrown instanceof InputError && !(thrown instanceof SystemError) ? thrown.got : null
  }
}

/** A claim of a folder as it is known from here, without a claim of one's own. What it says was written by whoever can write there. */
export type Claimant = {
  /** of the claim */
  readonly file: string
  readonly host: string
  readonly pid: number
  readonly born: string | null
  /** null where that cannot be known from here */
  readonly lives: boolean | null
  /** milliseconds since it was renewed */
  readonly silent: number
}

/** Every claim of a folder that can be read; links are none. Changes nothing. */
export const claimantsOf = async (folder: string): Promise<ReadonlyArray<Claimant>> => {
  const own = await ownClaim()
  const found: Claimant[] = []
  for (const file of await claimsIn(folder).catch(() => [])) {
    const there = await lstat(file).catch(() => null)
    const claim = there?.isFile() === true ? await read(file) : null
    if (there === null || claim === null || claim === 'unreadable') continue
    const { host, pid, born } = claim
    found.push({ file, host, pid, born, lives: await isAlive(claim, own), silent: Date.now() - there.mtimeMs })
  }
  return found
}

/** What lives beside us, in words, or null where nothing does; and the claims of those that do not. */
const othersIn = async (folder: string, path: string, claim: Claim) => {
  const gone: string[] = []
  for (const other of (await claimsIn(folder)).filter((name) => name !== path)) {
    const rival = await stateOf(other, claim, path)
    if (rival !== null) return { rival, gone }
    gone.push(other)
  }
  return { rival: null, gone }
}

/** The process of a claim in words, or null where it is gone. */
const stateOf = async (path: string, own: Claim, ownPath: string): Promise<string | null> => {
  const other = await read(path)
  if (other === null) return null
  const lives = other === 'unreadable' ? null : await isAlive(other, own)
  if (lives === false) return null
  const name = other === 'unreadable' ? path : `process ${other.pid} on ${other.host} (${path})`
  if (lives === true) return name
  const [theirs, ours] = [await stat(path).catch(() => null), await stat(ownPath)]
  if (theirs === null || ours.mtimeMs - theirs.mtimeMs > patience.silence) return null
  return `${name}; it counts as gone after ${patience.silence / 1000} seconds of silence`
}

/** Whether the process of a claim lives; null where that cannot be known from here. */
const isAlive = async (other: Claim, own: Claim): Promise<boolean | null> => {
  const sameMachine = own.boot === null ? process.platform !== 'linux' && other.host === own.host : other.boot === own.boot
  if (!sameMachine || other.numbers !== own.numbers) return null
  const born = await birthOf(other.pid)
  if (born !== null) return other.born === null ? null : born === other.born
  try {
    process.kill(other.pid, 0)
    return null
  } catch (thrown) {
    return systemCode(thrown) === 'ESRCH' ? false : null // one that is hidden from us is another user's
  }
}

const claimsIn = async (folder: string): Promise<ReadonlyArray<string>> =>
  (await readdir(folder)).filter((name) => /^lock-[0-9a-f]{12}\.json$/.test(name)).map((name) => join(folder, name))

const read = async (path: string): Promise<Claim | 'unreadable' | null> => {
  try {
    const parsed = schema.safeParse(JSON.parse(await readText(path, 10_000)))
    return parsed.success ? parsed.data : 'unreadable'
  } catch (thrown) {
    return isAbsent(thrown) ? null : 'unreadable'
  }
}

const removed = (path: string): Promise<void> =>
  unlink(path).catch((thrown: unknown) => {
    if (!isAbsent(thrown)) throw systemInputError(path, 'a file that can be removed', thrown)
  })

const ownClaim = async (): Promise<Claim> => ({
  host: hostname(),
  boot: await readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (id) => id.trim(),
    () => null,
  ),
  numbers: await readlink('/proc/self/ns/pid').catch(() => null),
  pid: process.pid,
  born: await birthOf(process.pid),
  thread: threadId,
})

/** Ticks from the machine's start to the process's (field 22 of its stat; its name, before, may hold anything); `dead` where it only awaits its burial, null where there is none. */
export const birthOf = async (pid: number): Promise<string | null> => {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [state = '', ...rest] = line.slice(line.lastIndexOf(')') + 2).split(' ')
  return ['Z', 'X'].includes(state) ? 'dead' : (rest[18] ?? null)
}
