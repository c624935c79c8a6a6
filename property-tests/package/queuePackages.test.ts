/** A project without bullmq and ioredis: commands that need no queue run, and each command that needs one says in one line how to install them. */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-without-queue-'))
  // the compiled code is copied, since Node looks for packages beside the file that a link points to
  await cp(resolve('dist'), join(root, 'dist'), { recursive: true, filter: (path) => !/property-tests$|\.(d\.ts|map)$/.test(path) })
  await cp(resolve('package.json'), join(root, 'package.json'))
  await mkdir(join(root, 'node_modules'))
  for (const name of await readdir(resolve('node_modules')))
    if (!['bullmq', 'ioredis'].includes(name)) await symlink(resolve('node_modules', name), join(root, 'node_modules', name))
}, 60_000)
afterAll(() => rm(root, { recursive: true }))

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
const salora = (...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((ended) => {
    const child = execFile(process.execPath, [join(root, 'dist/cli/salora.js'), ...args], { cwd: root }, (_, stdout, stderr) =>
      ended({ code: child.exitCode, stdout, stderr }),
    )
  })

const line = '--redis: expected the optional package bullmq, got none; install it with: npm install bullmq ioredis\n'

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
    expect((await readdir(root)).sort()).toEqual(['dist', 'node_modules', 'package.json'])
  })

  it('the help of the command that can use a queue works', async () => {
    const { code, stdout } = await salora('glue', '--help')
    expect(code).toBe(0)
    expect(stdout).toContain('--redis')
  })
})
