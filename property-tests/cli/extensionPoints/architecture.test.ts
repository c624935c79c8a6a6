/**
 * An architecture is one file and one line, even if its checkpoints store matrices as [in, out] and have buffers. The same model in either layout
 * trains to the same bits in every method and precision. Its exports are the same numbers, each in its family's layout.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors, readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors, type WritableTensor } from '../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { exportAdapter } from '../../../finetuning/use/exportAdapter.js'
import { openTrainedAdapter } from '../../../finetuning/use/openModel.js'
import { finetuneJob } from '../../../finetuning/nodeMachine.js'
import { tinyConfig, tinyTensors, writeTinyModel } from '../tinyModel.js'
import { toyFile } from '../toyTask.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

vi.mock('../../../accelerated/models/index.js', async (original) => {
  const { insideOut } = await import('./insideOut.js')
  return { architectures: [...(await original<{ readonly architectures: readonly unknown[] }>()).architectures, insideOut] }
})

const layouts = ['plain', 'inside-out'] as const
type Layout = (typeof layouts)[number]

const { folder: root } = temporaryFolder('architecture')
const at = (...path: readonly string[]): string => join(root, ...path)

/** [rows, columns] → [columns, rows] */
const turnedOver = ({ shape: [rows = 0, columns = 0], data }: WritableTensor): WritableTensor => ({
  shape: [columns, rows],
  data: Float32Array.from({ length: rows * columns }, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] ?? NaN),
})
const isMatrix = (name: string): boolean => /\.(query|key|value|dense)\.weight$/.test(name) && name.includes('encoder.layer.')

beforeAll(async () => {
  await writeTinyModel(at('plain'))
  const buffers = [0, 1].map((i): [string, WritableTensor] => [
    `roberta.encoder.layer.${i}.attention.mask`,
    { shape: [3, 3], data: new Float32Array(9) },
  ])
  const tensors = [...tinyTensors()].map(([name, tensor]): [string, WritableTensor] => [name, isMatrix(name) ? turnedOver(tensor) : tensor])
  await writeTinyModel(at('inside-out'), {
    'config.json': JSON.stringify({ ...tinyConfig, model_type: 'inside-out' }),
    'model.safetensors': writeSafetensors(new Map([...tensors, ...buffers])),
  })
  await writeFile(at('toy.tsv'), toyFile(24))
})

/** Losses and norms of each step of a run on the model in this layout. */
const trained = async (layout: Layout, name: string, settings: Readonly<Record<string, unknown>>): Promise<readonly unknown[]> => {
  const options = {
    model: at(layout),
    task: { task: at('toy.tsv') },
    output: at(`${layout}-${name}`),
    resume: false,
    settings: resolveSettings({
      ...{ device: 'cpu', threads: 1, maxSteps: 6, batchSize: 4, maxLength: 16, learningRate: 0.01 },
      ...settings,
    } as SettingsInput),
  }
  const steps: unknown[] = []
  for await (const event of finetuneJob(options, new AbortController().signal))
    if (event.kind === 'step') steps.push([event.step, event.loss, event.gradientNorm])
  return steps
}

const numbersIn = async (file: string): Promise<ReadonlyMap<string, WritableTensor>> => {
  const tensors = new Map<string, WritableTensor>()
  for (const [name, entry] of (await readSafetensors(file)).tensors)
    tensors.set(name, { shape: entry.shape, data: await readTensor(entry) })
  return tensors
}

describe('a model whose checkpoint has matrices as [in, out] and buffers', () => {
  it('is the model whose checkpoint has them as [out, in]: names, shapes, numbers', async () => {
    const [plain, insideOut] = [await openModelFolder(at('plain')), await openModelFolder(at('inside-out'))]
    expect([...insideOut.tensors.keys()]).toEqual([...plain.tensors.keys()])
    for (const [name, entry] of insideOut.tensors) {
      const other = plain.tensors.get(name)
      expect(entry.shape, name).toEqual(other?.shape)
      if (other !== undefined) expect(await readTensor(entry), name).toEqual(await readTensor(other))
    }
    expect([...insideOut.others.keys()]).toEqual([])
  })

  it('is refused in one line if a matrix has the other layout, with the shapes that the file has', async () => {
    const tensors = new Map([...tinyTensors()])
    await writeTinyModel(at('mixed-up'), {
      'config.json': JSON.stringify({ ...tinyConfig, model_type: 'inside-out' }),
      'model.safetensors': writeSafetensors(tensors),
    })
    await expect(openModelFolder(at('mixed-up'))).rejects.toThrow(
      /: expected tensor roberta\.encoder\.layer\.0\.intermediate\.dense\.weight of shape \[16, 32\], got \[32, 16\]$/,
    )
  })

  it.each([
    ['lora', { method: 'lora' }],
    ['dora', { method: 'lora', useDora: true }],
    ['salora', { method: 'salora', gateStart: 0.2, gateEnd: 0.5 }],
    ['adalora', { method: 'adalora' }],
    ['checkpointed', { method: 'lora', gradientCheckpointing: true }],
    ['int8', { method: 'lora', precision: 'int8' }],
    ['float64', { method: 'lora', precision: 'float64' }],
  ])('trains %s to the same bits, with the same adapter on disk', async (name, settings) => {
    const [plain, insideOut] = [await trained('plain', name, settings), await trained('inside-out', name, settings)]
    expect(plain).toHaveLength(6)
    expect(insideOut).toEqual(plain)
    const adapter = (layout: Layout): Promise<Buffer> => readFile(at(`${layout}-${name}`, 'adapter', 'adapter_model.safetensors'))
    expect((await adapter('inside-out')).equals(await adapter('plain'))).toBe(true)
    const config = async (layout: Layout): Promise<Record<string, unknown>> =>
      JSON.parse(await readFile(at(`${layout}-${name}`, 'adapter', 'adapter_config.json'), 'utf8')) as Record<string, unknown>
    expect([(await config('plain'))['fan_in_fan_out'], (await config('inside-out'))['fan_in_fan_out']]).toEqual([false, true])
  })

  it('trains every weight to the same bits, and is saved in its own layout', async () => {
    const settings = { method: 'full' }
    expect(await trained('inside-out', 'full', settings)).toEqual(await trained('plain', 'full', settings))
    const [plain, insideOut] = await Promise.all(layouts.map((layout) => numbersIn(at(`${layout}-full`, 'adapter', 'model.safetensors'))))
    expect([...(insideOut?.keys() ?? [])].sort()).toEqual([...(plain?.keys() ?? [])].sort())
    for (const [name, tensor] of plain ?? []) expect(insideOut?.get(name), name).toEqual(isMatrix(name) ? turnedOver(tensor) : tensor)
  })

  it('predicts the same logits with an adapter that is read back', async () => {
    const logits = async (layout: Layout) => {
      const adapter = await openTrainedAdapter({ model: at(layout), adapter: at(`${layout}-lora`, 'adapter'), device: 'cpu', threads: 1 })
      return adapter.predict([{ text: 'a good film' }, { text: 'a bad one' }]).finally(adapter.release)
    }
    expect(await logits('inside-out')).toEqual(await logits('plain'))
  })

  it.each(['merged', 'transformers.js'] as const)('is exported as %s with the same numbers', async (format) => {
    for (const layout of layouts) {
      const adapter = at(`${layout}-lora`, 'adapter')
      await exportAdapter({
        model: at(layout),
        adapter,
        format,
        output: at(`${layout}-${format}`),
        maxLength: 16,
        precision: 'float32',
        targeted: null,
      })
    }
    if (format === 'merged') {
      const [plain, insideOut] = await Promise.all(layouts.map((layout) => numbersIn(at(`${layout}-merged`, 'model.safetensors'))))
      for (const [name, tensor] of plain ?? []) expect(insideOut?.get(name), name).toEqual(isMatrix(name) ? turnedOver(tensor) : tensor)
    } else {
      const [plain, insideOut] = await Promise.all(layouts.map((layout) => readFile(at(`${layout}-${format}`, 'onnx', 'model.onnx'))))
      expect(insideOut?.equals(plain ?? Buffer.alloc(0))).toBe(true)
    }
  })
})

describe('an adapter of PEFT for [out, in] matrices', () => {
  it('is refused if its configuration says that they are [in, out]', async () => {
    await trained('plain', 'refused', { method: 'lora', maxSteps: 1 })
    const folder = at('plain-refused', 'adapter')
    const file = join(folder, 'adapter_config.json')
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace('"fan_in_fan_out": false', '"fan_in_fan_out": true'))
    const opened = openTrainedAdapter({ model: at('plain'), adapter: folder, device: 'cpu' })
    await expect(opened).rejects.toThrow(/: expected a plain LoRA configuration whose fan_in_fan_out is false, got true$/)
  })
})
