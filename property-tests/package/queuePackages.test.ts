/** A project without bullmq and ioredis: commands that need no queue run. Each command that needs one prints the npm install line. */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installWithout } from '../support/installWithout.js'

let [root, program] = ['', '']
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-without-queue-'))
  program = await installWithout(root, ['bullmq', 'ioredis'])
}, 60_000)
afterAll(() => rm(root, { recursive: true }))

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
const salora = (...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((ended) => {
    const child = execFile(process.execPath, [program, ...args], { cwd: root }, (_, stdout, stderr) =>
      ended({ code: child.exitCode, stdout, stderr }),
    )
  })

const line = '--redis: expected the packages bullmq and ioredis (npm install bullmq ioredis), got none\n'

describe('without bullmq and ioredis', () => {
  it.each<readonly [string, ReadonlyArray<string>]>([
    ['salora worker', ['worker', '--redis', 'redis://127.0.0.1:1', '--quiet']],
    [
      'salora glue --redis',
      ['glue', '--model', 'm', '--data', 'd', '--tasks', 'cola', '--output', 'out', '--redis', 'redis://127.0.0.1:1', '--quiet'],
    ],
    ['salora board --redis', ['board', '.', '--redis', 'redis://127.0.0.1:1', '--quiet']],
  ])('%s says how to install them', async (_, args) => {
    expect(await salora(...args)).toEqual({ code: 2, stdout: '', stderr: line })
    expect((await readdir(root)).sort()).toEqual(['dist', 'finetuning', 'node_modules', 'package.json'])
  })

  it('the help of the command that can use a queue works', async () => {
    const { code, stdout } = await salora('glue', '--help')
    expect(code).toBe(0)
    expect(stdout).toContain('--redis')
  })
})
