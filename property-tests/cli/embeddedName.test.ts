/** `--model embedded`: the model in the package, by a name that other installations resolve to their own copy. */
import { spawnSync } from 'node:child_process'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraIn } from './inProcess.js'
import { program } from './spawnSalora.js'
import { toyFile } from './toyTask.js'

const { folder } = temporaryFolder('embedded-name')
const train = ['train', '--task', 'toy.tsv', '--method', 'lora', '--max-length', '16', '--device', 'cpu', '--quiet', '--save-steps', '1']

type Recorded = { readonly model: string }
const recordedBy = async (run: string): Promise<string> =>
  (JSON.parse(await readFile(join(folder, run, 'config.json'), 'utf8')) as Recorded).model

beforeAll(async () => {
  await writeFile(join(folder, 'toy.tsv'), toyFile(40))
  await mkdir(join(folder, 'embedded')) // a folder of that name does not hide the model
})

describe('--model embedded', () => {
  it('is recorded by its name, also when it is given by its folder', async () => {
    for (const [run, model] of [
      ['named', 'embedded'],
      ['by-path', embeddedModel],
    ] as const) {
      const { code, stderr } = await saloraIn([...train, '--max-steps', '1', '--model', model, '--output', run], { cwd: folder })
      expect(code, stderr).toBe(0)
      expect(await recordedBy(run)).toBe('embedded')
    }
  })

  it('./embedded is the folder of that name', async () => {
    const { code, stderr } = await saloraIn([...train, '--model', './embedded', '--output', 'other'], { cwd: folder })
    expect([code, stderr]).toEqual([1, expect.stringMatching(/embedded: expected config\.json in the folder, got none/)])
  })

  it('a run of it resumes, predicts, evaluates and exports in another installation', async () => {
    const other = join(folder, 'installation')
    await mkdir(join(other, 'finetuning/embedded'), { recursive: true })
    await cp('package.json', join(other, 'package.json'))
    await cp('dist', join(other, 'dist'), { recursive: true, filter: (path) => !/\.map$|dist.(property-tests|checks)/.test(path) })
    await cp('finetuning/embedded/model', join(other, 'finetuning/embedded/model'), { recursive: true })
    await cp('finetuning/data', join(other, 'finetuning/data'), { recursive: true })
    await symlink(resolve('node_modules'), join(other, 'node_modules'))
    const there = join(other, 'dist/cli/salora.js')
    const commands = [
      [...train, '--max-steps', '1', '--model', 'embedded', '--output', 'moved'],
      [...train, '--max-steps', '2', '--model', 'embedded', '--output', 'moved', '--resume'],
      ['predict', '--run', 'moved', '--input', 'toy.tsv'],
      ['evaluate', '--run', 'moved', '--quiet'],
      ['export', '--run', 'moved', '--format', 'merged', '--output', 'exported', '--quiet'],
    ]
    for (const [i, command] of commands.entries()) {
      const { status, stderr } = spawnSync(process.execPath, [i === 0 ? program : there, ...command], { cwd: folder, encoding: 'utf8' })
      expect(status, `${command.join(' ')}\n${stderr}`).toBe(0)
    }
    expect(await recordedBy('moved')).toBe('embedded')
  })
})
