/** The command line in the test's own process: what it writes and its exit code. For commands that start no thread and read no standard input. */
import { vi } from 'vitest'
import { runProgram } from '../../cli/program.js'

export const saloraHere = async (...args: ReadonlyArray<string>) => {
  const said = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += String(text)
      return true
    }),
  )
  try {
    await runProgram(args)
    return { code: process.exitCode, ...said }
  } finally {
    for (const spy of spies) spy.mockRestore()
    process.exitCode = undefined
  }
}
