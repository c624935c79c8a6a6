/** --gradient-checkpointing: a run can be resumed with or without it. Its memory is measured in estimate.test.ts. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bytesIn, runJob } from './jobRun.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('recompute')
describe('--gradient-checkpointing', () => {
  it('may change when a run is resumed, with the same bits', async () => {
    const flags = {
      model: join(cwd, 'tiny'),
      task: join(cwd, 'toy.tsv'),
      ...{ maxSteps: '6', saveSteps: '2', maxLength: '32', batchSize: '4', device: 'cpu', threads: '1' },
    }
    const [uninterrupted, stopped] = [join(cwd, 'whole'), join(cwd, 'stopped')]
    await runJob({ ...flags, output: uninterrupted })
    await runJob({ ...flags, output: stopped, gradientCheckpointing: true }, 3)
    await cp(stopped, `${stopped}-2`, { recursive: true })
    await runJob({ resume: true, output: `${stopped}-2` }) // as it began
    expect(JSON.parse(await readFile(join(`${stopped}-2`, 'config.json'), 'utf8'))).toMatchObject({
      settings: { gradientCheckpointing: true },
    })
    await writeFile(join(cwd, 'other.json'), JSON.stringify({ gradientCheckpointing: false }))
    await runJob({ resume: true, output: stopped, config: join(cwd, 'other.json') })
    const numbers = await bytesIn(uninterrupted, ['adapter'])
    expect(Object.keys(numbers)).toContain('adapter/adapter_model.safetensors')
    for (const run of [stopped, `${stopped}-2`])
      expect((await bytesIn(run, ['adapter']))['adapter/adapter_model.safetensors']).toBe(numbers['adapter/adapter_model.safetensors'])
  })
})
