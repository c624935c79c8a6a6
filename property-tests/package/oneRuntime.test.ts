/** salora beside transformers.js in one project: `npm run pack:slim` leaves one ONNX Runtime, with this platform's files, and both compute with it. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packSlim } from '../../packaging/slimPackages.js'

const run = promisify(execFile)
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_|onnxruntime|^INIT_CWD$/i.test(name)))
const { platform, arch } = process
const isolated = ['--user', '--map-root-user', '--net', '--']
const canIsolate = platform === 'linux' && spawnSync('unshare', [...isolated, 'true']).status === 0

let [folder, project] = ['', '']
let packed: ReadonlyArray<string> = []
const npm = async (cwd: string, ...args: ReadonlyArray<string>): Promise<string> =>
  (await run('npm', args, { cwd, env: environment, maxBuffer: 1 << 26 })).stdout
const install = (...names: ReadonlyArray<string>): Promise<string> =>
  npm(project, 'install', ...names, '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline')
const megabytes = async (): Promise<number> => Number.parseInt((await run('du', ['-sm', 'node_modules'], { cwd: project })).stdout, 10)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'salora-slim-'))
  project = join(folder, 'project')
  await mkdir(project)
  await writeFile(join(project, 'package.json'), '{ "name": "mine", "private": true, "type": "module" }')
  packed = packSlim({ platform, arch }, folder)
}, 600_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('npm run pack:slim', () => {
  it("packs salora with the files of npm pack except ONNX Runtime's, and the runtime for this platform", async () => {
    expect(packed.map((name) => name.replace(/\d+\.\d+\.\d+/, '*'))).toEqual(['salora-*.tgz', `onnxruntime-node-*-${platform}-${arch}.tgz`])
    const filesOf = async (...of: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
      const printed = await npm(resolve('.'), 'pack', ...of, '--dry-run', '--ignore-scripts', '--json')
      const [{ files } = { files: [] }] = JSON.parse(printed) as ReadonlyArray<{ readonly files: ReadonlyArray<{ readonly path: string }> }>
      return files.map(({ path }) => path).sort()
    }
    // npm adds the README beside a packed folder, which nothing reads
    const whole = (await filesOf()).filter((path) => !path.startsWith('node_modules/') && path !== 'finetuning/embedded/README.md')
    expect(await filesOf(join(folder, packed[0] ?? ''))).toEqual(whole)
  }, 600_000)

  it('installs without transformers.js in the megabytes that the guide names', async () => {
    await install(...packed.map((name) => join(folder, name)))
    const guide = await readFile(resolve('docs/how-to/library.md'), 'utf8')
    const [, named] = /^\| salora and ONNX Runtime from `npm run pack:slim` \| (\d+) MB \|$/m.exec(guide) ?? []
    if (platform === 'linux' && arch === 'x64') expect(Math.abs((await megabytes()) - Number(named))).toBeLessThan(6)
  }, 300_000)

  it.skipIf(!canIsolate)(
    'leaves the script that fetches CUDA where it is asked to (skipped where no network namespace can be made)',
    async () => {
      const script = join(project, 'node_modules/onnxruntime-node/script/install.js')
      const runIsolated = (...args: ReadonlyArray<string>) =>
        run('unshare', [...isolated, process.execPath, script, ...args], { env: environment })
      await runIsolated()
      if (arch === 'x64') await expect(runIsolated('--onnxruntime-node-install=cuda12')).rejects.toThrow(/api\.nuget\.org/)
    },
  )

  it('leaves one ONNX Runtime beside transformers.js, of this platform alone, with which both give the same score', async () => {
    const { devDependencies } = JSON.parse(await readFile('package.json', 'utf8')) as { readonly devDependencies: Record<string, string> }
    await install(`@huggingface/transformers@${devDependencies['@huggingface/transformers']}`)
    const folders = (await readdir(join(project, 'node_modules'), { recursive: true, withFileTypes: true })).filter((one) =>
      one.isDirectory(),
    )
    expect(folders.filter(({ name }) => name === 'onnxruntime-node').map(({ parentPath }) => parentPath)).toEqual([
      join(project, 'node_modules'),
    ])
    const binaries = join(project, 'node_modules/onnxruntime-node/bin/napi-v6')
    expect([await readdir(binaries), await readdir(join(binaries, platform))]).toEqual([[platform], [arch]])

    await writeFile(join(project, 'both.mjs'), both)
    const { stdout } = await run(process.execPath, ['both.mjs'], { cwd: project, env: environment })
    const { mine, theirs, again, bindings } = JSON.parse(stdout) as {
      readonly mine: { readonly label: string; readonly score: number }
      readonly theirs: { readonly label: string; readonly score: number }
      readonly again: unknown
      readonly bindings: ReadonlyArray<string>
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
