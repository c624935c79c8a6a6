/** State that stays on the device between steps: the same bits as state that crosses, few bytes, and fresh numbers wherever they are read. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { cpu, type Device } from '../../../accelerated/engines/devices/device.js'
import type { FinetuneEvent, FinetuneOptions } from '../../../finetuning/run/run.js'
import { finetune, memoryStorage, type Storage } from '../../../web/index.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { keepingEngine, type Traffic } from '../../support/keepingEngine.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

/** The CPU as a device that keeps what a session carries. */
const keepingDevice = (traffic: Traffic[]): Device => ({ ...cpu, engine: (settings) => keepingEngine(cpu.engine(settings), traffic) })

const { folder: root } = temporaryFolder('device-state')
beforeAll(async () => {
  await writeTinyModel(join(root, 'tiny'))
})

const filled = async (): Promise<Storage> => {
  const storage = memoryStorage()
  await storage.makeFolder('tiny')
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'])
    await storage.write(`tiny/${name}`, await readFile(join(root, 'tiny', name)))
  const rows = Array.from(
    { length: 24 },
    (_, i) => `a ${i % 2 === 0 ? 'good' : 'bad'} film ${'very '.repeat(i % 5)},${i % 2 === 0 ? 'yes' : 'no'}`,
  )
  await storage.write('films.csv', `text,label\n${rows.join('\n')}`)
  return storage
}

const settings = { maxSteps: 8, evalSteps: 8, saveSteps: 3, batchSize: 4, maxLength: 16, threads: 1, learningRate: 0.01, dropout: 0.1 }

/** Runs in a storage. @param stopAfter a step after which the run is stopped → its events without times */
const run = async (
  storage: Storage,
  device: Device,
  changed: FinetuneOptions['settings'],
  { resume = false, stopAfter = 0 } = {},
): Promise<readonly object[]> => {
  const stop = new AbortController()
  const options: FinetuneOptions = {
    model: 'tiny',
    task: { task: 'films.csv' },
    output: 'run',
    resume,
    settings: { ...settings, ...changed },
  }
  const events: FinetuneEvent[] = []
  for await (const event of finetune(options, { storage, device }, { signal: stop.signal })) {
    events.push(event)
    if (event.kind === 'step' && event.step === stopAfter) stop.abort()
  }
  return events.flatMap((event): readonly object[] => {
    if (event.kind === 'step') {
      const { step, loss, taskLoss, gradientNorm, columns } = event
      return [{ step, loss, taskLoss, gradientNorm, columns }]
    }
    if (event.kind === 'evaluation') return [{ step: event.step, scores: event.scores, best: event.best }]
    return event.kind === 'ranks' || event.kind === 'phase' ? [event] : []
  })
}

const trainedIn = async (storage: Storage): Promise<Uint8Array> => {
  const file = await storage.open('run/adapter/adapter_model.safetensors')
  return file.read(0, file.size)
}

describe('state that stays on the device', () => {
  it('gives the bits of state that crosses, with vectors of the method too', async () => {
    const changed = { method: 'adalora', tinitRatio: 0.1, tfinalRatio: 0.3 } as const
    const [crossing, keeps] = [await filled(), await filled()]
    const traffic: Traffic[] = []
    expect(await run(keeps, keepingDevice(traffic), changed)).toEqual(await run(crossing, cpu, changed))
    expect(await trainedIn(keeps)).toEqual(await trainedIn(crossing))
    expect(traffic.length).toBe(8)
  })

  it('gives them in every phase, and after a stop at which no checkpoint and no evaluation is due', async () => {
    const changed = { method: 'salora', density: 0.5 } as const
    const [crossing, stopped] = [await filled(), await filled()]
    const expected = await run(crossing, cpu, changed)
    expect(expected.length).toBeGreaterThan(10)
    const first = await run(stopped, keepingDevice([]), changed, { stopAfter: 5 })
    const second = await run(stopped, keepingDevice([]), changed, { resume: true })
    expect([...first, ...second]).toEqual(expected)
    expect(await trainedIn(stopped)).toEqual(await trainedIn(crossing))
  })

  it('gives them with sums of gradients that stay there too, also in a phase that begins in mid-run and in a short last step', async () => {
    const changed = { method: 'salora', density: 0.5, gradientAccumulationSteps: 2, maxGradNorm: 0.1, maxSteps: 7 } as const
    const [crossing, stopped] = [await filled(), await filled()]
    const expected = await run(crossing, cpu, changed)
    const first = await run(stopped, keepingDevice([]), changed, { stopAfter: 4 })
    const second = await run(stopped, keepingDevice([]), changed, { resume: true })
    expect([...first, ...second]).toEqual(expected)
    expect(await trainedIn(stopped)).toEqual(await trainedIn(crossing))
  })

  it('crosses once: the steps after the first move the batch, the scalars and nothing of W', async () => {
    const traffic: Traffic[] = []
    await run(await filled(), keepingDevice(traffic), { method: 'full', dropout: 0.1 })
    const [first, ...later] = traffic
    expect(first?.up).toBeGreaterThan(3 * 4 * 16 * 1000) // more than a thousand rows of 16 numbers, and two moments of each
    expect(later.length).toBe(7)
    for (const { up, down } of later) {
      expect(up).toBeLessThan(4_000)
      expect(down).toBeLessThan(100)
    }
  })

  it('crosses once where batches accumulate: no part of a later step moves W or a sum of gradients', async () => {
    const traffic: Traffic[] = []
    await run(await filled(), keepingDevice(traffic), { method: 'full', gradientAccumulationSteps: 2, maxSteps: 2, evalSteps: 2 })
    expect(traffic.length).toBe(4)
    for (const { up, down } of traffic.slice(2)) {
      expect(up).toBeLessThan(4_000)
      expect(down).toBeLessThan(100)
    }
  })
})
