/** One line after a process that could not say why it ended: it was killed, or a file that it had mapped got shorter. */
import { spawn } from 'node:child_process'
import { printable } from './output.js'

/** Reads until the pipe from this process closes, which only the end of this process does, and prints its argument. */
const script = 'read -r line; printf "%s\\n" "$1" >&2'

/**
 * Prints one line with a remedy to standard error if the process ends before the returned function is called, and not by `process.exit`.
 * A shell waits for that, because no handler runs in a process that is killed. Where there is no shell, nothing is printed.
 */
export const watchSuddenEnd = (where: string, remedy: string): (() => void) => {
  if (process.platform === 'win32') return () => undefined
  const line = `${where}: the process ended without a word: it was killed, ran out of memory, or a file of its model was changed. ${remedy}`
  // in a group of its own, which Ctrl-C does not reach
  const shell = spawn('sh', ['-c', script, 'sh', printable(line)], { stdio: ['pipe', 'ignore', 'inherit'], detached: true })
  for (const source of [shell, shell.stdin]) source.on('error', () => undefined)
  shell.unref()
  const end = (): void => {
    process.removeListener('exit', end)
    shell.kill('SIGKILL')
  }
  process.once('exit', end)
  return end
}
