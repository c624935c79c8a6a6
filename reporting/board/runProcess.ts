/**
 * Finds the process that works in a run's folder, and stops it.
 *
 * Anybody may have written a lock file, and a signal to the wrong process does harm. So a process counts only if /proc confirms that
 * - it belongs to this user,
 * - it started when the lock says,
 * - it has this very file open for writing,
 * - it runs a salora command that ends cleanly,
 * - it handles the signal.
 */
import { lstat, readdir, readFile, readlink, realpath, stat } from 'node:fs/promises'
import { basename, resolve, sep } from 'node:path'
import { readStartTime, listClaimants, type Claimant } from '../../accelerated/storage/folderLock.js'

/** Commands that finish the current step and save when they are stopped. */
const stoppableCommands = ['train', 'quickstart'] as const
/** A `cell` is a run of a sweep, in a process that salora glue or a worker has started for it. */
export type RunCommand = (typeof stoppableCommands)[number] | 'cell'

export type RunProcess = { readonly pid: number; readonly command: RunCommand }

/**
 * The first SIGHUP stops a run like Ctrl-C, and further ones have no effect. A second Ctrl-C would end it without saving.
 * So two boards, or a board after Ctrl-C, do no harm.
 */
const stopSignal = 'SIGHUP'
/** The bit of SIGHUP, signal number 1, in /proc/PID/status. */
const stopSignalBit = 1n

/** @returns the process, or why the board cannot stop the run */
export const findRunProcess = async (folder: string): Promise<RunProcess | string> => {
  if (process.platform !== 'linux') return 'the board can only stop runs on Linux; press Ctrl-C where it runs'
  const locks = await listClaimants(folder)
  if (locks.length === 0) return 'no process is working on it'
  let obstacle = 'its process is gone'
  for (const lock of locks) {
    if (lock.lives === null) obstacle = `it runs on ${lock.host} or in another container; stop it there`
    if (lock.lives !== true) continue
    const confirmed = await confirm(lock).catch(() => 'its process is gone')
    if (typeof confirmed !== 'string') return confirmed
    obstacle = confirmed
  }
  return obstacle
}

/** Stops the process that works on the run now. @returns the stopped process, or why none was stopped */
export const stopRunProcess = async (folder: string): Promise<RunProcess | string> => {
  const found = await findRunProcess(folder)
  if (typeof found === 'string') return found
  try {
    process.kill(found.pid, stopSignal)
    return found
  } catch {
    return 'its process is gone'
  }
}

/** Checks everything that a lock says about its process. */
const confirm = async ({ file, pid, born }: Claimant): Promise<RunProcess | string> => {
  const notIt = `process ${pid}, which the lock names, is not the one that holds it`
  if (!Number.isSafeInteger(pid) || pid < 2 || pid === process.pid || pid === process.ppid) return notIt
  if (process.getuid === undefined || (await stat(`/proc/${pid}`)).uid !== process.getuid()) return 'it runs as another user; stop it there'
  if (!(await hasOpenForWriting(pid, file))) return notIt
  const command = await readCommand(pid)
  if (command === null) return `process ${pid} is another program, which may not end cleanly; stop it there`
  if (!(await handlesStopSignal(pid))) return `process ${pid} does not handle ${stopSignal}; press Ctrl-C where it runs`
  // last, because the system may give the number of an ended process to a new one, which has another start time
  return born !== null && (await readStartTime(pid)) === born ? { pid, command } : notIt
}

/** A file with two names belongs to neither with certainty. */
const hasOpenForWriting = async (pid: number, file: string): Promise<boolean> => {
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

/** The salora command of a process, from the arguments that it was started with; null for another program. */
const readCommand = async (pid: number): Promise<RunCommand | null> => {
  if (!/^node/.test(basename(await readlink(`/proc/${pid}/exe`)))) return null
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
  const cwd = await readlink(`/proc/${pid}/cwd`)
  for (const [i, word] of words.entries()) {
    if (i === 0 || word === '' || word.startsWith('-')) continue
    const script = await realpath(resolve(cwd, word)).catch(() => '')
    if (script.endsWith(`${sep}jobs${sep}jobProcess.js`)) return 'cell'
    if (!script.endsWith(`${sep}cli${sep}salora.js`)) continue
    const command = words.slice(i + 1).find((argument) => !argument.startsWith('-'))
    return stoppableCommands.find((stoppable) => stoppable === command) ?? null
  }
  return null
}

const handlesStopSignal = async (pid: number): Promise<boolean> => {
  const [, caught = '0'] = /^SigCgt:\s*([0-9a-f]+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? []
  return (BigInt(`0x${caught}`) & stopSignalBit) !== 0n
}
