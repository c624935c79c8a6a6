/**
 * The process that works in a run's folder, where it may be told to stop. A lock file is text that anybody may have written, and a signal to the
 * wrong process does harm: so a process counts only where the system itself says that it is the one. It must be of this user, be born when the claim
 * says, hold that very file open for writing, run `salora` by a command that ends cleanly, and heed the signal. All of it is read from /proc.
 */
import { lstat, readdir, readFile, readlink, realpath, stat } from 'node:fs/promises'
import { basename, resolve, sep } from 'node:path'
import { birthOf, claimantsOf, type Claimant } from '../../accelerated/storage/folderLock.js'

/** Commands that end after the step at hand and save. */
const commands = ['train', 'quickstart'] as const
/** A cell is a run of a sweep, in the process that salora glue or a worker has made for it. */
export type HoldingCommand = (typeof commands)[number] | 'cell'

export type Holder = { readonly pid: number; readonly command: HoldingCommand }

/**
 * A lost terminal's signal: the first asks a run to stop exactly as Ctrl-C does, and however often it comes it asks no more, whereas a second Ctrl-C
 * leaves at once. So two boards, or a board after a Ctrl-C, do no harm.
 */
const stopSignal = 'SIGHUP'
const stopBit = 1n // of SIGHUP, number 1, in /proc/PID/status

/** The holder, or in words why there is none that this board may stop. */
export const holderOf = async (folder: string): Promise<Holder | string> => {
  if (process.platform !== 'linux') return 'a board can stop runs on Linux alone: press Ctrl-C where it runs'
  const claims = await claimantsOf(folder)
  if (claims.length === 0) return 'no process is at work in it'
  let why = 'its process is gone'
  for (const claim of claims) {
    if (claim.lives === null) why = `it runs on ${claim.host}, or in another container: stop it there`
    if (claim.lives !== true) continue
    const found = await proven(claim).catch(() => 'its process is gone')
    if (typeof found !== 'string') return found
    why = found
  }
  return why
}

/** Tells the holder to stop, who is looked for at this moment. @returns what was told, or why nothing was */
export const stopHolder = async (folder: string): Promise<Holder | string> => {
  const holder = await holderOf(folder)
  if (typeof holder === 'string') return holder
  try {
    process.kill(holder.pid, stopSignal)
    return holder
  } catch {
    return 'its process is gone'
  }
}

const proven = async ({ file, pid, born }: Claimant): Promise<Holder | string> => {
  const other = `process ${pid}, which its lock names, is not the one at work in it`
  if (!Number.isSafeInteger(pid) || pid < 2 || pid === process.pid || pid === process.ppid) return other
  if (process.getuid === undefined || (await stat(`/proc/${pid}`)).uid !== process.getuid()) return `it runs as another user: stop it there`
  if (!(await writes(pid, file))) return other
  const command = await commandOf(pid)
  if (command === null) return `process ${pid} is a program of its own, which may not end cleanly: stop it there`
  if (!(await heeds(pid))) return `process ${pid} does not heed ${stopSignal}: press Ctrl-C where it runs`
  return born !== null && (await birthOf(pid)) === born ? { pid, command } : other // last: a number used again has another birth
}

/** Whether the process has this file open for writing; one file with two names proves nothing of either. */
const writes = async (pid: number, file: string): Promise<boolean> => {
  const { dev, ino, nlink } = await lstat(file)
  if (nlink !== 1) return false
  for (const number of await readdir(`/proc/${pid}/fd`)) {
    const opened = await stat(`/proc/${pid}/fd/${number}`).catch(() => null)
    if (opened?.dev !== dev || opened.ino !== ino) continue
    const [, flags = ''] = /^flags:\s*([0-7]+)/m.exec(await readFile(`/proc/${pid}/fdinfo/${number}`, 'utf8').catch(() => '')) ?? []
    if ((Number.parseInt(flags, 8) & 3) === 2) return true // O_RDWR
  }
  return false
}

/** `salora COMMAND`, or a cell of a sweep, by the words that it was started with. */
const commandOf = async (pid: number): Promise<HoldingCommand | null> => {
  if (!/^node/.test(basename(await readlink(`/proc/${pid}/exe`)))) return null
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
  const cwd = await readlink(`/proc/${pid}/cwd`)
  for (const [i, word] of words.entries()) {
    if (i === 0 || word === '' || word.startsWith('-')) continue
    const script = await realpath(resolve(cwd, word)).catch(() => '')
    if (script.endsWith(`${sep}glue${sep}cellProcess.js`)) return 'cell'
    if (!script.endsWith(`${sep}cli${sep}salora.js`)) continue
    const named = words.slice(i + 1).find((one) => !one.startsWith('-'))
    return commands.find((command) => command === named) ?? null
  }
  return null
}

const heeds = async (pid: number): Promise<boolean> => {
  const [, caught = '0'] = /^SigCgt:\s*([0-9a-f]+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? []
  return (BigInt(`0x${caught}`) & stopBit) !== 0n
}
