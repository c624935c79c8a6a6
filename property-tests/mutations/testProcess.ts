/** Runs test files with vitest in a process group of its own, which is killed as a whole after too long or on request. */
import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { RunTests, TestRun } from './applyEach.js'

type Report = {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

/** A mutation can make a loop endless. */
const longestMutation = 300_000

export const testProcess =
  (root: string, signal: AbortSignal): RunTests =>
  async (files, { bail }) => {
    const output = join(root, 'tests.json')
    rmSync(output, { force: true })
    const flags = ['--reporter=json', `--outputFile=${output}`, ...(bail ? ['--bail=1'] : [])]
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
    const child = spawn(process.execPath, [vitest, 'run', ...files, ...flags], { cwd: root, detached: true, stdio: 'ignore' })
    const stop = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // it has ended
      }
    }
    let late = false
    const timer = setTimeout(
      () => {
        late = true
        stop()
      },
      bail ? longestMutation : 2 ** 31 - 1,
    )
    signal.addEventListener('abort', stop)
    const code = await new Promise<number | null>((done, fail) => child.on('error', fail).on('exit', done))
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    if (late) return { passed: false, failed: `tests that did not end in ${longestMutation / 1000} s`, failedFiles: files }
    return code === 0 ? { passed: true, failed: '', failedFiles: [] } : failuresOf(reportAt(output), root, files)
  }

const failuresOf = (report: Report | null, root: string, files: readonly string[]): TestRun => {
  const failing = report?.testResults.filter(({ status }) => status === 'failed') ?? []
  const [first] = failing
  const test = first?.assertionResults.find(({ status }) => status === 'failed')?.fullName
  return {
    passed: false,
    failed: test ?? first?.message.split('\n')[0] ?? 'vitest, without a report',
    failedFiles: report === null ? files : failing.map(({ name }) => relative(root, name)),
  }
}

const reportAt = (path: string): Report | null => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report
  } catch {
    return null
  }
}
