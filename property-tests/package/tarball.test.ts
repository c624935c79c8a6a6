/** The package as `npm pack` makes it: its files and size, and that README's command installs it in an empty project where it runs. */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { printedBy } from '../documentation/readmePrograms.js'

const run = promisify(execFile)
/** As in a shell of a user's own: nothing of the npm that runs the tests, and no word on CUDA. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_|onnxruntime_node_install|^INIT_CWD$/i.test(name)),
)
const npm = async (cwd: string, ...args: readonly string[]): Promise<string> => {
  const { stdout, stderr } = await run('npm', args, { cwd, env: environment, maxBuffer: 1 << 26 })
  return stdout + stderr
}
const quietly = ['--no-audit', '--no-fund', '--prefer-offline']
const isolated = ['--user', '--map-root-user', '--net', '--']
const canIsolate = process.platform === 'linux' && spawnSync('unshare', [...isolated, 'true']).status === 0

let [folder, project, tarball, packed, installed] = ['', '', '', '', '']
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'salora-package-'))
  project = join(folder, 'project')
  await mkdir(project)
  // dist is built, and other tests run it
  packed = await npm(resolve('.'), 'pack', '--ignore-scripts', '--json', '--pack-destination', folder)
  await writeFile(join(project, 'package.json'), '{ "name": "mine", "private": true, "type": "module" }')
  tarball = join(folder, (await readdir(folder)).find((name) => name.endsWith('.tgz')) ?? '')
  const [, command = ''] = /^npm (install \S+\.tgz(?: --[\w-]+)*)/m.exec(await readFile('README.md', 'utf8')) ?? []
  installed = await npm(project, ...command.replace(/\S+\.tgz/, tarball).split(' '), ...quietly, '--foreground-scripts')
}, 600_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

const inProject = (path: string): string => join(project, path)
const inPackage = (path: string): string => inProject(join('node_modules/salora', path))

describe('the packed package', () => {
  it('contains the built product, its data, its license and README, and nothing else: no test, map or source', () => {
    const [{ files = [] } = {}] = JSON.parse(packed) as readonly { readonly files: readonly { readonly path: string }[] }[]
    const packedFiles = files.map(({ path }) => path)
    for (const needed of 'dist/index.js dist/index.d.ts dist/cli/salora.js finetuning/embedded/model/model.safetensors README.md'.split(
      ' ',
    ))
      expect(packedFiles).toContain(needed)
    for (const name of ['board.js', 'report.js', 'page.css']) expect(packedFiles).toContain(`dist/reporting/page/${name}`)
    const places =
      /^(dist\/(index|accelerated|cli|evaluation|finetuning|program|reference|reporting|web)\b.*\.(js|d\.ts)|dist\/reporting\/page\/page\.css|finetuning\/embedded\/(model\/.*|README\.md)|finetuning\/data\/sentiment\/.*|evaluation\/benchmark\/peer\.py|dist\/program\/LICENSE-zod|LICENSE|README\.md|package\.json)$/
    expect(packedFiles.filter((path) => !places.test(path))).toEqual([])
  })

  it('is smaller than 15 MB', () => {
    const [{ size = 0 } = {}] = JSON.parse(packed) as readonly { readonly size: number }[]
    expect(size).toBeGreaterThan(1e6)
    expect(size).toBeLessThan(15e6)
  })

  it("installs by README's command without downloading CUDA, and without a warning", async () => {
    expect(installed).not.toMatch(/cuda|nuget|warn/i)
    const bin = inProject(`node_modules/onnxruntime-node/bin/napi-v6/${process.platform}/${process.arch}`)
    expect((await readdir(bin)).filter((name) => /cuda|tensorrt/.test(name))).toEqual([])
  })

  it('works in another project, where doctor only names remedies that exist', async () => {
    const { stdout } = await run(join(project, 'node_modules/.bin/salora'), ['doctor', '--json'], { cwd: project, env: environment })
    const { devices, embeddedModel } = JSON.parse(stdout) as {
      readonly devices: readonly { readonly device: string; readonly works: boolean; readonly remedy: string | null }[]
      readonly embeddedModel: string
    }
    expect(devices.find(({ device }) => device === 'cpu')?.works).toBe(true)
    expect(embeddedModel).toBe(inPackage('finetuning/embedded/model'))
    const [, script = ''] = /node "([^"]+)"/.exec(devices.find(({ device }) => device === 'cuda')?.remedy ?? '') ?? []
    expect(script).toBe(inProject('node_modules/onnxruntime-node/script/install.js'))
    expect(existsSync(script)).toBe(true)
  })

  it.skipIf(!canIsolate || process.arch !== 'x64')(
    'downloads CUDA by the command of doctor (skipped where no network namespace can be made)',
    async () => {
      const script = inProject('node_modules/onnxruntime-node/script/install.js')
      const command = [...isolated, process.execPath, script, '--onnxruntime-node-install=cuda12']
      await expect(run('unshare', command, { env: environment })).rejects.toThrow(/api\.nuget\.org/)
    },
  )

  it("installs where ONNX Runtime's install script fails: salora then prints the command that adds ONNX Runtime, and it works", async () => {
    const other = join(folder, 'other')
    await mkdir(other)
    await writeFile(join(other, 'package.json'), '{ "name": "other", "private": true }')
    const failing = { ...environment, ONNXRUNTIME_NODE_INSTALL: 'no such installation' }
    await run('npm', ['install', tarball, ...quietly], { cwd: other, env: failing })
    await rm(join(other, 'node_modules/onnxruntime-node'), { recursive: true, force: true }) // npm 12 runs no script of a dependency
    const doctor = () => run(join(other, 'node_modules/.bin/salora'), ['doctor', '--quiet'], { cwd: other, env: environment })
    const { stdout } = (await doctor().catch((failed: unknown) => failed)) as { readonly stdout: string }
    const [, command = ''] = /^cpu +missing +onnxruntime-node is not installed: run npm (.+)$/m.exec(stdout) ?? []
    await npm(other, ...command.split(' '), ...quietly)
    expect((await doctor()).stdout).toMatch(/^cpu +works/)
  }, 240_000)

  it(`runs README's programs in Node ${process.versions.node}`, () => expectResults(printedBy(process.execPath, project)), 240_000)
})

const expectResults = (printed: string): void => {
  expect(printed).toMatch(/\{\s+accuracy: 0\.\d+,[^}]*\} 0\.(49\d*|5)\n/)
  expect(printed).toMatch(/(^(positive|negative) 0\.\d+\n){2}$/m)
}

describe('what a caller sees', () => {
  it.each(['NodeNext', 'Bundler'])('compiles in a strict project with moduleResolution %s and without skipLibCheck', async (resolution) => {
    const compilerOptions = {
      ...{ target: 'ES2022', module: resolution === 'Bundler' ? 'ESNext' : resolution, moduleResolution: resolution, lib: ['ES2022'] },
      ...{ strict: true, noEmit: true, skipLibCheck: false, types: ['node'], typeRoots: [resolve('node_modules/@types')] },
    }
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['caller.ts'] }))
    const modules = ['salora', 'salora/accelerated', 'salora/reference', 'salora/evaluation']
    const lines = modules.map((name, i) => `import * as module${i} from '${name}'\nconsole.log(module${i})\n`)
    await writeFile(join(project, 'caller.ts'), lines.join(''))
    const { stdout } = spawnSync(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', project], { encoding: 'utf8' })
    expect(stdout).toBe('')
  })

  it('are values and errors: no Either of fp-ts in the declarations of what salora exports', async () => {
    await writeFile(
      join(project, 'callers.mjs'),
      `import { InputError, isExpected, loadTask } from 'salora'
       import { defaultSettings, validate } from 'salora/reference'
       console.log((await loadTask({ task: 'sentiment' })).train.examples.length > 1000, validate(defaultSettings).length)
       try { await loadTask({ task: 'no such task' }) } catch (error) { console.log(error instanceof InputError, isExpected(error)) }`,
    )
    expect((await run(process.execPath, ['callers.mjs'], { cwd: project })).stdout).toBe('true 0\ntrue true\n')
    // the modules that an index names, and what they declare for it
    for (const index of ['index', 'accelerated/index', 'evaluation/index', 'reference/index']) {
      const text = await readFile(inPackage(`dist/${index}.d.ts`), 'utf8')
      for (const [, names = '', of = ''] of text.matchAll(/export (?:type )?\{([^}]*)\} from '(\.[^']*)'/g)) {
        const module = await readFile(join(inPackage('dist'), index, '..', of.replace(/\.js$/, '.d.ts')), 'utf8')
        for (const name of names
          .split(',')
          .map((part) => part.replace(/^\s*type /, '').trim())
          .filter((part) => part !== '')) {
          const [declared = ''] =
            new RegExp(
              `^export (?:declare )?(?:const|type|interface|class|function\\*?) ${name}\\b[\\s\\S]*?(?=^export |$(?![\\s\\S]))`,
              'm',
            ).exec(module) ?? []
          expect(declared, `${name} of ${of}`).not.toMatch(/\bE(ither)?[.<]/)
        }
      }
    }
  })
})
