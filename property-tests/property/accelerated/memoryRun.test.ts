/** A whole run without a disk: model, tokenizer, checkpoints and adapter are in memory. It has the bits of the same run on the disk. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkpointNumbers } from '../../../accelerated/checkpoints/frozenWeights.js'
import { saveCheckpoint } from '../../../accelerated/checkpoints/checkpointFile.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { newestCheckpoint } from '../../../accelerated/checkpoints/loadCheckpoint.js'
import { loadTokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { cpu } from '../../../accelerated/engines/devices/cpu.js'
import type { Adapter } from '../../../accelerated/formats/adapter.js'
import { readAdapter, writeAdapter } from '../../../accelerated/formats/index.js'
import { sequenceClassification } from '../../../accelerated/objectives/sequenceClassification.js'
import { tensorOf } from '../../../accelerated/parameters/vectors.js'
import { openFrozen } from '../../../accelerated/precisions/precision.js'
import { precisionOf } from '../../../accelerated/settings/commonSettings.js'
import { memoryStorage } from '../../../accelerated/storage/memory.js'
import { nodeFiles } from '../../../accelerated/storage/nodeFiles.js'
import { withFile, type Storage } from '../../../accelerated/storage/storage.js'
import { assemble, layoutOf } from '../../../accelerated/training/assembly.js'
import { runOutline, startOfRun } from '../../../accelerated/training/initialState.js'
import { methodOf, resolveSettings } from '../../../accelerated/training/settings.js'
import { train } from '../../../accelerated/training/trainingLoop.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const steps = 6
const outputs = { head: 'sequence', labels: 2, problemType: 'single_label_classification' } as const
const texts = ['a good film', 'a bad film', 'good', 'bad bad', 'the film is good', 'the film is bad', 'a very good one', 'a poor one']

const { folder: root } = temporaryFolder('memory')
const memory = memoryStorage()
beforeAll(async () => {
  await writeTinyModel(join(root, 'tiny'))
  await memory.makeFolder('/none/tiny', { recursive: true }) // the disk does not have this folder
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'])
    await memory.write(`/none/tiny/${name}`, await readFile(join(root, 'tiny', name)))
})

/** Trains in `folder` of a storage to `until` steps, from its newest checkpoint if it has one. → the adapter after the last step */
const trained = async (storage: Storage, folder: string, until = steps) => {
  const base = await openModelFolder(`${folder}/tiny`, { storage, baseModelName: 'tiny' })
  const tokenizer = await loadTokenizer(base.folder, base.model, storage)
  const precision = precisionOf('float32')
  const { tensor, weights } = await openFrozen(precision, base, `${folder}/cache`)
  const settings = resolveSettings({
    method: 'lora',
    rank: 2,
    maxSteps: steps,
    maxLength: 16,
    batchSize: 4,
    saveSteps: 1,
    dropout: 0.1,
    learningRate: 0.01,
  })
  const parts = { model: base.model, frozen: tensor, method: methodOf('lora'), settings, precision }
  const assembly = assemble(parts, (model) => sequenceClassification(model, outputs))
  const examples = texts.map((text, row) => ({ ...tokenizer.encode(text, undefined, 16), label: row % 2, row }))
  const task = {
    ...assembly,
    runtime: { engine: cpu.engine({ threads: 1 }), weights },
    training: examples,
    evaluation: examples,
    score: () => ({ scores: {}, selection: 0, constant: null }),
  }
  const start = await startOfRun(assembly, checkpointNumbers(base))
  const checkpoints = `${folder}/checkpoints`
  const outline = runOutline(assembly, { steps, start })
  const resumed = await newestCheckpoint(checkpoints, outline, () => undefined, storage)
  const stop = new AbortController()
  const run = train(task, resumed?.state ?? start, resumed, stop.signal)
  for (;;) {
    const next = await run.next()
    if (next.done === true) {
      const { phase, parameters } = next.value.last
      const layout = layoutOf(assembly, phase)
      const weightsOf = (names: readonly (readonly [string, readonly number[]])[]) =>
        new Map(names.map(([name, shape]) => [name, { shape, data: Float32Array.from(tensorOf(layout, parameters, name)) }] as const))
      const tensors = weightsOf(parts.method.train.tensors(phase, settings).map(({ name, shape }) => [name, shape]))
      const head = weightsOf([...base.model.sequenceHead(2).tensors])
      const adapter: Adapter = { ...parts, baseModelName: 'tiny', phase, tensors, outputs, head, labelNames: ['bad', 'good'] }
      return { base, adapter, resumedAt: resumed?.state.step ?? 0 }
    }
    const event = next.value
    if (event.kind === 'step' && event.step === until) stop.abort()
    if (event.kind !== 'checkpoint') continue
    const { kind: _, ...checkpoint } = event
    await saveCheckpoint(checkpoints, 'lora', { ...checkpoint, metricsLines: 0 }, storage)
  }
}

const bytesAt = (storage: Storage, path: string): Promise<Uint8Array> =>
  withFile(storage, path, async ({ size, read }) => Uint8Array.from(await read(0, size)))

describe('a run in the storage in memory', () => {
  it('a run in memory that stops and resumes has the bits of one on disk, and so do its checkpoint and adapter', async () => {
    const onDisk = await trained(nodeFiles, root)
    expect((await trained(memory, '/none', 3)).resumedAt).toBe(0)
    const inMemory = await trained(memory, '/none')
    expect(inMemory.resumedAt).toBe(3)
    expect(inMemory.adapter.tensors).toEqual(onDisk.adapter.tensors)
    expect(inMemory.adapter.head).toEqual(onDisk.adapter.head)
    expect(await memory.list('/none/checkpoints')).toContain(`step-00000000${steps}.safetensors`)

    for (const [storage, folder, { adapter, base }] of [
      [nodeFiles, root, onDisk],
      [memory, '/none', inMemory],
    ] as const) {
      await storage.makeFolder(`${folder}/adapter`)
      await writeAdapter(`${folder}/adapter`, adapter, base, storage)
    }
    for (const name of await nodeFiles.list(`${root}/adapter`))
      expect(await bytesAt(memory, `/none/adapter/${name}`), name).toEqual(await bytesAt(nodeFiles, `${root}/adapter/${name}`))
    const back = await readAdapter('/none/adapter', inMemory.base, memory)
    expect(back.tensors).toEqual(inMemory.adapter.tensors)
    expect(back.labelNames).toEqual(['bad', 'good'])
  })
})
