/** salora trains and answers in Deno, Bun and other versions of Node. In a caller's worker thread it does too, or says why not in one line. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { toyFile } from '../cli/toyTask.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const execute = promisify(execFile)
const { folder } = temporaryFolder('runtimes')
const library = JSON.stringify(resolve('dist/index.js'))

/** Trains for a step, opens the run, and asks it 20 questions at once. */
const program = `
import { embeddedModel, finetune, openRun } from ${library}
const [output] = process.argv.slice(2)
const settings = { method: 'lora', maxSteps: 1, maxLength: 24, device: 'cpu' }
for await (const event of finetune({ model: embeddedModel, task: { task: 'toy.tsv' }, output, settings }))
  if (event.kind === 'result') console.log('trained', event.result.stepsDone)
const run = await openRun(output)
const alone = await run.predict('The food was superb 7.')
const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => run.predict(\`The food was superb \${i}.\`)))
await Promise.all([run.release(), run.release()])
console.log('answered', answers.length, Math.abs(answers[7].score - alone.score) < 1e-5)
`
const inThread = `
const { openRun, openTrainedAdapter, finetune, embeddedModel } = await import(${library})
const refusal = async (work) => console.log(await work().then(() => 'works', (thrown) => thrown.message))
await refusal(async () => (await openRun('made')).release())
await refusal(async () => (await openTrainedAdapter({ model: embeddedModel, adapter: 'made/adapter' })).release())
await refusal(async () => { for await (const _ of finetune({ model: embeddedModel, task: { task: 'toy.tsv' }, output: process.argv[2], settings: { method: 'lora', maxSteps: 1, maxLength: 24 } })); })
`
const starting = (before: string, output: string): string => `
import { Worker } from 'node:worker_threads'
${before}
await new Promise((done) => new Worker(new URL('./thread.mjs', import.meta.url), { argv: ['${output}'] }).on('exit', done))
`

beforeAll(async () => {
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }') // Deno reads node_modules only for a project that has one
  await writeFile(join(folder, 'toy.tsv'), toyFile(40))
  await writeFile(join(folder, 'program.mjs'), program)
  await writeFile(join(folder, 'thread.mjs'), inThread)
  await writeFile(join(folder, 'before.mjs'), starting(`await import(${library})`, 'known'))
  await writeFile(join(folder, 'without.mjs'), starting('', 'unknown'))
})

const run = async (command: readonly string[]): Promise<string> => {
  const [file = '', ...args] = command
  return (await execute(file, args, { cwd: folder })).stdout
}

/** The executable of a package of the registry; null where it has none for this machine. */
const installed = async (name: string, version: string, executable: string): Promise<string | null> => {
  const prefix = join(folder, `${name}-${version}`)
  await mkdir(prefix)
  try {
    await execute('npm', ['install', `${name}@${version}`, '--no-audit', '--no-fund', '--prefer-offline', '--prefix', prefix])
  } catch {
    return null
  }
  return join(prefix, 'node_modules', executable)
}

const platform = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`

type Runtime = readonly [name: string, pack: string, version: string, executable: string, flags: readonly string[]]
const runtimes: readonly Runtime[] = [
  ['Deno 2', 'deno', '2', '.bin/deno', ['run', '--allow-all']],
  ['Bun 1', 'bun', '1', '.bin/bun', []],
  ['Node 20', platform, '20', `${platform}/bin/node`, []],
  ['Node 22', platform, '22', `${platform}/bin/node`, []],
  ['Node 24', platform, '24', `${platform}/bin/node`, []],
  ['Node 26', platform, '26', `${platform}/bin/node`, []],
]

describe.each(runtimes)('%s', (name, pack, version, executable, flags) => {
  it('trains a run and answers concurrent calls (skipped where the registry has none for this machine)', async ({ skip }) => {
    const file = await installed(pack, version, executable)
    if (file === null) return skip(`no ${name} from the registry`)
    expect(await run([file, ...flags, 'program.mjs', `run-${version}-${pack}`])).toBe('trained 1\nanswered 20 true\n')
  }, 240_000)
})

describe("a caller's worker thread", () => {
  it('works if the main thread has imported salora, and is refused in one line otherwise', async () => {
    await run([process.execPath, 'program.mjs', 'made'])
    expect(await run([process.execPath, 'before.mjs'])).toBe('works\nworks\nworks\n')
    const { ORT_DISABLE_TELEMETRY: _, ...env } = process.env
    const { stdout } = await execute(process.execPath, ['without.mjs'], { cwd: folder, env })
    const line =
      'ORT_DISABLE_TELEMETRY: expected 1 in the environment of this thread (import salora in the main thread first), got nothing\n'
    expect(stdout).toBe(line.repeat(3))
  }, 120_000)
})
