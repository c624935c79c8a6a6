/** LoRA's variants from flags to every export: a run with all three, interrupted and resumed, loaded and exported. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { exportAdapter } from '../../finetuning/adapters/exportAdapter.js'
import type { ExportFormat } from '../../finetuning/adapters/exportFormats.js'
import { rankPatternOfRun } from '../../finetuning/adapters/rankPattern.js'
import type { RunResult } from '../../finetuning/runs/run.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { bytesIn, runJob } from './jobRun.js'
import { writeTinyModel } from './tinyModel.js'
import { toyFile } from './toyTask.js'

const { folder: cwd } = temporaryFolder('variants')
let result: RunResult
const at = (...path: ReadonlyArray<string>): string => join(cwd, ...path)
const flags = (output: string) => ({ config: at('settings.json'), model: at('tiny'), task: at('toy.tsv'), output: at(output) })

beforeAll(async () => {
  await writeTinyModel(at('tiny'))
  await writeFile(at('toy.tsv'), toyFile(40))
  const settings = {
    method: 'lora',
    useDora: true,
    rank: 2,
    loraAlpha: 4,
    loraDropout: 0.25,
    maxSteps: 6,
    saveSteps: 3,
    batchSize: 4,
    maxLength: 16,
  }
  await writeFile(at('settings.json'), JSON.stringify({ ...settings, targetModules: ['all-linear'], device: 'cpu', threads: 1 }))
  result = await runJob({ ...flags('whole'), useRslora: true })
})

const exported = (format: ExportFormat) =>
  exportAdapter({
    model: at('tiny'),
    adapter: at('whole', 'adapter'),
    format,
    output: at(format),
    precision: 'float32',
    maxLength: 16,
    targeted: null,
  })

describe('salora train --method lora --use-rslora --use-dora --lora-dropout 0.25', () => {
  it('reads switches from flags and from --config, and counts its parameters', async () => {
    const { settings } = JSON.parse(await readFile(at('whole', 'config.json'), 'utf8')) as { readonly settings: Record<string, unknown> }
    expect(settings).toMatchObject({ useRslora: true, useDora: true, loraDropout: 0.25, targetModules: ['all-linear'] })
    // of each layer: four matrices of 16 × 16, one of 32 × 16 and one of 16 × 32, at rank 2, and a magnitude for each row
    expect(result.trainableParameters).toMatchObject({ adapter: 2 * (2 * (4 * 32 + 2 * 48) + 5 * 16 + 32) })
    await writeFile(at('wrong.json'), JSON.stringify({ method: 'lora', useDora: 'yes' }))
    await expect(runJob({ ...flags('wrong'), config: at('wrong.json') })).rejects.toThrow(
      `${at('wrong.json')}: expected true or false for useDora, got "yes"`,
    )
    await expect(runJob({ ...flags('wrong'), method: 'salora', useDora: true })).rejects.toThrow(
      '--use-dora: expected a setting of method salora, got true (it belongs to lora: use --method lora)',
    )
  })

  it('resumes from a checkpoint to the same bits, with dropout masks and magnitudes', async () => {
    expect((await runJob({ ...flags('halves'), useRslora: true }, 3)).interrupted).toBe(true)
    await runJob({ output: at('halves'), resume: true })
    expect(await bytesIn(at('halves'), ['adapter', 'checkpoints'])).toEqual(await bytesIn(at('whole'), ['adapter', 'checkpoints']))
  })

  it("initializes magnitudes with the lengths of W's rows, and ends near them", async () => {
    const base = await openModelFolder(at('tiny'))
    const { tensors } = await readAdapter(at('whole', 'adapter'), base)
    const name = 'encoder.layer.1.output.dense'
    const W = await readTensor(base.tensors.get(`${name}.weight`)!)
    const magnitude = tensors.get(`${name}.magnitude`)?.data ?? new Float32Array(0)
    expect(magnitude).toHaveLength(16)
    magnitude.forEach((m, row) => expect(Math.abs(m - Math.hypot(...W.subarray(32 * row, 32 * (row + 1))))).toBeLessThan(6 * 4e-4 + 1e-6))
  })

  it.each<ExportFormat>(['peft', 'merged', 'transformers.js'])('computes the same function when exported as %s', async (format) => {
    const { comparison } = await exported(format)
    expect(comparison.largestLogit).toBeGreaterThan(0)
    expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * Math.max(1, comparison.largestLogit))
  })

  it('refuses peft-padded, which is for servers without magnitudes', () =>
    expect(exported('peft-padded')).rejects.toThrow(
      '--format: expected one of peft, merged, transformers.js for an adapter with magnitudes (DoRA), got peft-padded',
    ))

  it('prints a rank pattern whose alpha gives plain LoRA the same scale', async () =>
    expect(await rankPatternOfRun(at('whole'))).toMatchObject({ r: 2, lora_alpha: 4 * Math.sqrt(2), rank_pattern: {} }))
})
