/** salora beside transformers.js in one project: npm installs one ONNX Runtime, and both compute with it. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const run = promisify(execFile)
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_|onnxruntime|^INIT_CWD$/i.test(name)))
const { platform, arch } = process

let [folder, project] = ['', '']
const npm = async (cwd: string, ...args: readonly string[]): Promise<string> =>
  (await run('npm', args, { cwd, env: environment, maxBuffer: 1 << 26 })).stdout
const install = (name: string): Promise<string> =>
  npm(project, 'install', name, '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline')

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'salora-one-runtime-'))
  project = join(folder, 'project')
  await mkdir(project)
  await writeFile(join(project, 'package.json'), '{ "name": "mine", "private": true, "type": "module" }')
  const tarball = (await npm(resolve('.'), 'pack', '--ignore-scripts', '--silent', '--pack-destination', folder)).trim()
  await install(join(folder, tarball))
}, 600_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

/** The size that the guide gives in the row of this name. */
const megabytesInGuide = async (row: string): Promise<number> =>
  Number(new RegExp(`^\\| ${row} \\| (\\d+) MB \\|$`, 'm').exec(await readFile(resolve('docs/how-to/library.md'), 'utf8'))?.[1])
const expectSize = async (row: string): Promise<void> => {
  const megabytes = Number.parseInt((await run('du', ['-sm', 'node_modules'], { cwd: project })).stdout, 10)
  if (platform === 'linux' && arch === 'x64') expect(Math.abs(megabytes - (await megabytesInGuide(row)))).toBeLessThan(6)
}

describe('salora and transformers.js in one project', () => {
  it('salora alone takes as much space as the guide says', () => expectSize('salora'))

  it('have one ONNX Runtime, with which both give the same score', async () => {
    const { devDependencies } = JSON.parse(await readFile('package.json', 'utf8')) as { readonly devDependencies: Record<string, string> }
    await install(`@huggingface/transformers@${devDependencies['@huggingface/transformers']}`)
    await expectSize('salora and `@huggingface/transformers`')
    const folders = (await readdir(join(project, 'node_modules'), { recursive: true, withFileTypes: true })).filter((one) =>
      one.isDirectory(),
    )
    expect(folders.filter(({ name }) => name === 'onnxruntime-node').map(({ parentPath }) => parentPath)).toEqual([
      join(project, 'node_modules'),
    ])
    const binaries = join(project, 'node_modules/onnxruntime-node/bin/napi-v6')

    await writeFile(join(project, 'both.mjs'), both)
    const { stdout } = await run(process.execPath, ['both.mjs'], { cwd: project, env: environment })
    const { mine, theirs, again, bindings } = JSON.parse(stdout) as {
      readonly mine: { readonly label: string; readonly score: number }
      readonly theirs: { readonly label: string; readonly score: number }
      readonly again: unknown
      readonly bindings: readonly string[]
    }
    expect([theirs.label, again]).toEqual([mine.label, mine])
    expect(theirs.score).toBeCloseTo(mine.score, 5)
    expect(bindings).toEqual([join(binaries, platform, arch, 'onnxruntime_binding.node')])
  }, 300_000)
})

/** Trains, exports, and predicts with salora, transformers.js, and salora again. */
const both = `
import { execFileSync } from 'node:child_process'
import { env, pipeline } from '@huggingface/transformers'
import { embeddedModel, finetune, openRun, resolveSettings } from 'salora'
const settings = resolveSettings({ method: 'lora', rank: 2, maxSteps: 3, batchSize: 4, maxLength: 24 })
for await (const _ of finetune({ model: embeddedModel, task: { task: 'sentiment' }, output: 'run', settings }));
const salora = 'node_modules/salora/dist/cli/salora.js'
execFileSync(process.execPath, [salora, 'export', '--run', 'run', '--format', 'transformers.js', '--output', 'exported', '--quiet'])
const run = await openRun('run')
const text = 'The food was superb.'
const mine = await run.predict(text)
env.allowRemoteModels = false
const [theirs] = await (await pipeline('text-classification', './exported', { dtype: 'fp32' }))([text])
const again = await run.predict(text)
await run.release()
const bindings = process.report.getReport().sharedObjects.filter((file) => /onnxruntime_binding/.test(file))
console.log(JSON.stringify({ mine, theirs, again, bindings }))
`
