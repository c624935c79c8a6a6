/**
 * The command line in the test's own process: its output and its exit code. A command then needs no start of Node and no second thread.
 * Signals, kills, full disks and memory need a process of their own (spawnSalora.ts).
 */
import { Readable } from 'node:stream'
import { vi } from 'vitest'
import type { runProgram } from '../../cli/program.js'

export type Output = { readonly code: number | undefined; readonly stdout: string; readonly stderr: string }

const runHere = async (run: typeof runProgram, args: readonly string[]): Promise<Output> => {
  const written = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += String(text)
      return true
    }),
  )
  try {
    await run(args)
    return { code: Number(process.exitCode), ...written }
  } finally {
    for (const spy of spies) spy.mockRestore()
    process.exitCode = undefined
  }
}

let last: Promise<unknown> = Promise.resolve()
/** One at a time: the streams and the folder are the process's. */
const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
  const next = last.then(work)
  last = next.catch(() => undefined)
  return next
}

export const saloraHere = (...args: readonly string[]): Promise<Output> =>
  inTurn(async () => runHere((await import('../../cli/program.js')).runProgram, args))

/** @param input standard input */
export const saloraIn = (
  args: readonly string[],
  { cwd, input = '' }: { readonly cwd: string; readonly input?: string | Uint8Array },
): Promise<Output> =>
  inTurn(async () => {
    const { runProgram: run } = await import('../../cli/program.js')
    const before = { cwd: process.cwd(), offline: process.env['HF_HUB_OFFLINE'] }
    const stdin = vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([Buffer.from(input)]) as typeof process.stdin)
    process.chdir(cwd)
    process.env['HF_HUB_OFFLINE'] = '1'
    try {
      return await runHere(run, args)
    } finally {
      process.chdir(before.cwd)
      if (before.offline === undefined) delete process.env['HF_HUB_OFFLINE']
      else process.env['HF_HUB_OFFLINE'] = before.offline
      stdin.mockRestore()
    }
  })
