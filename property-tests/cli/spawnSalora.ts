/** Runs the built command line as a user's shell does, with pipes for its three streams. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Scripts that use this file are compiled into dist/, and tests are not. */
const fromHere = import.meta.url.includes('/dist/') ? '../../cli/salora.js' : '../../dist/cli/salora.js'
export const program = fileURLToPath(new URL(fromHere, import.meta.url))

export type Finished = {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export type SpawnOptions = {
  readonly cwd: string
  readonly input?: string | Uint8Array
  /** is called with each piece of standard error, to send signals at the right moment */
  readonly onError?: (text: string, child: ChildProcess) => void
  /** files may grow to this many KiB and no further, which is how a full disk feels */
  readonly largestFile?: number
  /** where standard output goes instead of a pipe */
  readonly output?: string
  /** for Node itself, before the program */
  readonly nodeArguments?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** is called with the process once it runs */
  readonly onStart?: (child: ChildProcess) => void
}

export const salora = (
  args: readonly string[],
  { cwd, input = '', onError, largestFile, output, nodeArguments = [], environment = {}, onStart }: SpawnOptions,
): Promise<Finished> => {
  if (!existsSync(program)) throw new Error(`${program}: expected the built command line (npm run build), got none`)
  return new Promise((resolve, reject) => {
    const words = [process.execPath, ...nodeArguments, program, ...args]
    const limit = largestFile === undefined ? '' : `ulimit -f ${largestFile}; `
    const redirection = output === undefined ? '' : ` > ${output}`
    const [command = '', ...rest] =
      limit === '' && redirection === '' ? words : ['bash', '-c', `${limit}exec "$@"${redirection}`, 'bash', ...words]
    const child = spawn(command, rest, { cwd, env: { ...process.env, HF_HUB_OFFLINE: '1', SALORA_DEBUG: undefined, ...environment } })
    if (onStart !== undefined) child.once('spawn', () => onStart(child))
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      onError?.(stderr, child)
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
    child.stdin.on('error', () => undefined) // it may leave without reading
    child.stdin.end(input)
  })
}
