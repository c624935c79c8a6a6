/** Runs test files by Vitest in its own process group, which is killed as one after too long or on request. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { z } from 'zod'
import type { RunTests, TestRun } from './applyEach.js'

const reportShape = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string(),
      assertionResults: z.array(z.object({ status: z.string(), fullName: z.string() })),
    }),
  ),
})

/** A mutation can make a loop endless. */
const longestMutation = 300_000

export const testProcess =
  (root: string, signal: AbortSignal): RunTests =>
  async (files, { bail }) => {
    const report = join(root, 'tests.json')
    rmSync(report, { force: true })
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
    const flags = ['--project=!quick', '--reporter=json', `--outputFile=${report}`, ...(bail ? ['--bail=1'] : [])] // quick repeats tests of shared
    const child = spawn(process.execPath, [vitest, 'run', ...files, ...flags], { cwd: root, detached: true, stdio: 'ignore' })
    const stop = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // it has ended
      }
    }
    let late = false
    const end = (): void => {
      late = true
      stop()
    }
    const timer = bail ? setTimeout(end, longestMutation) : undefined
    signal.addEventListener('abort', stop)
    const code = await new Promise<number | null>((done, fail) => child.on('error', fail).on('exit', done))
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    if (late) return { passed: false, failed: `tests that did not end in ${longestMutation / 1000} s`, failedFiles: files }
    return code === 0 ? { passed: true, failed: '', failedFiles: [] } : readFailures(report, root, files)
  }

const readFailures = (report: string, root: string, files: readonly string[]): TestRun => {
  if (!existsSync(report)) return { passed: false, failed: 'vitest, without a report', failedFiles: files }
  const { testResults } = reportShape.parse(JSON.parse(readFileSync(report, 'utf8')))
  if (testResults.length === 0) throw new Error(`vitest ran no tests of ${files.join(', ')}: is each in a project of vitest.config.ts?`)
  const failing = testResults.filter(({ status }) => status === 'failed')
  const [first] = failing
  const test = first?.assertionResults.find(({ status }) => status === 'failed')?.fullName
  return {
    passed: false,
    failed: test ?? first?.message.split('\n')[0] ?? 'vitest, whose report names no failed test',
    failedFiles: failing.map(({ name }) => relative(root, name)),
  }
}
