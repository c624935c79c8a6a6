/** --gradient-checkpointing: the peak memory falls by most of the activations, and a run can be resumed with or without it. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeRandomModel } from '../../evaluation/benchmark/model.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { bytesIn, runJob } from './jobRun.js'
import { salora } from './spawnSalora.js'
import { tinyConfig } from './tinyModel.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('recompute')
/** Few weights, many activations: the attention probabilities grow with layers × heads. */
const deep = {
  ...tinyConfig,
  ...{ hidden_size: 128, num_hidden_layers: 12, num_attention_heads: 4, intermediate_size: 512, max_position_embeddings: 140 },
}
const [batchSize, length] = [32, 100]

const writeDeepModel = async (): Promise<void> => {
  await mkdir(join(cwd, 'deep'))
  await writeRandomModel(join(cwd, 'deep'), deep)
  const rows = Array.from({ length: 40 }, (_, i) => `${'film '.repeat(200)}${i}\t${i % 2 === 0 ? 'good' : 'bad'}`)
  await writeFile(join(cwd, 'long.tsv'), ['text\tlabel', ...rows].join('\n'))
}

describe('--gradient-checkpointing', () => {
  it('lowers the peak memory by most of the activations of eleven of twelve layers', async () => {
    await writeDeepModel()
    const peakOf = async (name: string, ...flags: readonly string[]): Promise<number> => {
      const { code, stdout, stderr } = await salora(
        [
          ...[...'train --model deep --task long.tsv --output'.split(' '), name, ...'--method lora --max-steps 2 --dropout 0.1'.split(' ')],
          ...['--batch-size', String(batchSize), '--max-length', String(length), '--device', 'cpu', '--json', '--quiet', ...flags],
        ],
        { cwd },
      )
      expect(code, stderr).toBe(0)
      return (JSON.parse(stdout) as RunResult).peakMemoryBytes
    }
    const [kept, made] = [await peakOf('kept'), await peakOf('made', '--gradient-checkpointing')]
    // Of a token in a layer: keys, queries, values, context, two residuals and two norms of 128, and two of 512 around the GELU. Of each pair of
    // tokens and each head: probabilities before and after dropout, and the mask.
    const perLayer = 4 * batchSize * length * (8 * 128 + 2 * 512 + 3 * 4 * length)
    expect(kept - made).toBeGreaterThan(0.7 * 11 * perLayer)
  }, 240_000)

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
