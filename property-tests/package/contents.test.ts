/** What the package has: declarations, bundles, and the packages of a queue. */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, posix, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundledFiles } from '../../scripts/bundleProgram.js'
import { installWithout } from '../support/installWithout.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('declarations')

type Exports = Readonly<Record<string, string | { readonly types: string }>>

it('the declarations of every entry point compile without skipLibCheck', () => {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly exports: Exports }
  const entries = Object.values(exports).flatMap((one) => (typeof one === 'string' ? [] : [resolve(one.types)]))
  expect(entries).toHaveLength(6)
  const options = {
    ...{ target: 'ES2022', module: 'ESNext', moduleResolution: 'Bundler', lib: ['ES2023', 'DOM'], strict: true, noEmit: true },
    ...{ skipLibCheck: false, types: ['node'], typeRoots: [resolve('node_modules/@types')] },
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: entries }))
  const { stdout } = spawnSync(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' })
  expect(stdout).toBe('')
}, 120_000)

const sources = ['accelerated', 'cli', 'evaluation', 'finetuning', 'reporting'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
    .filter((name) => name.endsWith('.ts')),
)
/** The files beside a source that it names by its own address. */
const startedBy = (source: string): readonly string[] =>
  [...readFileSync(source, 'utf8').matchAll(/'(\.\/[^']*)\.js', import\.meta\.url/g)].map(([, path = '']) =>
    posix.join(posix.dirname(source), path),
  )

describe('the bundles of the program', () => {
  it('contain every file that starts a thread or a process', () => {
    const started = sources.filter((file) => !/^evaluation\/gpu\//.test(file)).flatMap(startedBy)
    expect([...bundledFiles].sort()).toEqual([...new Set([...started, 'cli/salora'])].sort())
  })

  it('are what the built files import, beside the license of the package in them', () => {
    for (const file of bundledFiles) {
      const [, bundle = ''] = /^import '([^']+)'\n$/m.exec(readFileSync(`dist/${file}.js`, 'utf8')) ?? []
      expect(existsSync(posix.join('dist', posix.dirname(file), bundle)), file).toBe(true)
    }
    expect(readFileSync('dist/program/LICENSE-zod', 'utf8')).toMatch(/MIT License[\s\S]*Colin McDonnell/)
  })

  it('find files by the addresses that they have without a bundle', () => {
    const texts = readdirSync('dist/program').map((name) => readFileSync(`dist/program/${name}`, 'utf8'))
    const addresses = texts.flatMap((text) => [...text.matchAll(/(.{0,80})import\.meta\.url/g)].map(([, before = '']) => before))
    expect(addresses.length).toBeGreaterThan(5)
    for (const before of addresses) {
      const [, path = ''] = /new URL\("\.\.\/([^"]+)\.js", $/.exec(before) ?? []
      expect(existsSync(`${path}.ts`), before).toBe(true)
    }
  })
})

let [root, program] = ['', '']
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-without-queue-'))
  program = await installWithout(root, ['bullmq', 'ioredis'])
}, 60_000)
afterAll(() => rm(root, { recursive: true }))

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
const salora = (...args: readonly string[]): Promise<Ended> =>
  new Promise((ended) => {
    const child = execFile(process.execPath, [program, ...args], { cwd: root }, (_, stdout, stderr) =>
      ended({ code: child.exitCode, stdout, stderr }),
    )
  })

const line = '--redis: expected the packages bullmq and ioredis (npm install bullmq ioredis), got none\n'

describe('without bullmq and ioredis', () => {
  it.each<readonly [string, readonly string[]]>([
    ['salora worker', ['worker', '--redis', 'redis://127.0.0.1:1', '--quiet']],
    [
      'salora glue --redis',
      ['glue', '--model', 'm', '--data', 'd', '--tasks', 'cola', '--output', 'out', '--redis', 'redis://127.0.0.1:1', '--quiet'],
    ],
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
