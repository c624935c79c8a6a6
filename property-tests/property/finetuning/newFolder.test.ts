/** A new folder appears complete or not at all, and a failure leaves nothing behind. */
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { inNewFolder, removeStages } from '../../../finetuning/use/newFolder.js'
import { runJob } from '../../cli/jobRun.js'
import { salora } from '../../cli/spawnSalora.js'
import { toyFile } from '../../cli/toyTask.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('new-folder')
let cwd = ''
beforeEach(async () => {
  cwd = await mkdtemp(join(root, 'c-'))
})

describe('a new folder', () => {
  it('does not reuse the partial folder of a dead process with the same id', async () => {
    const left = join(cwd, `.exported.${process.pid}.partial`)
    await mkdir(left)
    await writeFile(join(left, 'model.safetensors'), 'half')
    await inNewFolder(join(cwd, 'exported'), {}, (stage) => writeFile(join(stage, 'config.json'), '{}'))
    expect(await readdir(join(cwd, 'exported'))).toEqual(['config.json'])
    expect(await readFile(join(left, 'model.safetensors'), 'utf8')).toBe('half')
  })

  it('is created by one of two concurrent writers, and the other is refused', async () => {
    const stages: string[] = []
    const write = async (stage: string): Promise<void> => {
      stages.push(stage)
      await writeFile(join(stage, 'file'), stage)
      for (let tries = 0; stages.length < 2 && tries < 1000; tries++) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const answers = await Promise.allSettled([1, 2].map(() => inNewFolder(join(cwd, 'exported'), {}, write)))
    expect(new Set(stages).size).toBe(2)
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(await readdir(cwd)).toEqual(['exported'])
  })

  it('leaves nothing behind if writing fails or a signal ends the process', async () => {
    await expect(inNewFolder(join(cwd, 'exported'), {}, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await readdir(cwd)).toEqual([])
    let names: readonly string[] = []
    await inNewFolder(join(cwd, 'exported'), {}, async (stage) => {
      await mkdir(join(stage, 'onnx'))
      await writeFile(join(stage, 'onnx', 'model.onnx'), 'half')
      removeStages()
      names = readdirSync(cwd)
    }).catch(() => undefined)
    expect(names).toEqual([])
  })
})

it('leaves neither itself nor a part after Ctrl-C in the middle of an export', async () => {
  await writeFile(join(cwd, 'toy.tsv'), toyFile(40))
  const run = { task: join(cwd, 'toy.tsv'), output: join(cwd, 'run'), maxSteps: '1', batchSize: '2', maxLength: '16', device: 'cpu' }
  await runJob({ model: embeddedModel, method: 'lora', ...run })
  const stageIn = (): boolean => readdirSync(cwd).some((name) => name.endsWith('.partial'))
  const { code, signal } = await salora(['export', '--run', 'run', '--format', 'transformers.js', '--output', 'exported'], {
    cwd,
    onStart: (child) => {
      const polling = setInterval(() => {
        if (stageIn()) child.kill('SIGINT')
      }, 1)
      child.once('exit', () => clearInterval(polling))
    },
  })
  expect([code, signal]).toEqual([null, 'SIGINT'])
  expect([stageIn(), existsSync(join(cwd, 'exported'))]).toEqual([false, false])
})
