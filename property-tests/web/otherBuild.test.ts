/** Where WebAssembly cannot wait for promises, the page trains on the graphics card by a larger build of ONNX Runtime, which opens slowly. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { webgpu } from '../../accelerated/engines/devices/device.js'
import type { FinetuneEvent } from '../../finetuning/run/run.js'
import { hasChromium, softwareCard } from '../support/chromium.js'
import { inBrowser, inNode, olderBrowser, tinyModelFiles } from './browserRun.js'
import { withServedPage } from './servedPage.js'

const site = withServedPage(...softwareCard)

const lossesOf = (events: readonly FinetuneEvent[]): readonly number[] =>
  events.flatMap((event) => (event.kind === 'step' ? [event.taskLoss] : []))

describe.skipIf(!hasChromium)('a browser whose WebAssembly cannot wait for promises (skipped without Chromium)', () => {
  it('trains by WebGPU with the losses of Node', async () => {
    const folder = join(site().files.root, 'tiny')
    const modelFiles = await tinyModelFiles(folder)
    const settings = { method: 'lora', batchSize: 4, maxLength: 12, learningRate: 0.01, evalSteps: 1000 } as const
    const builds: string[] = []
    const context = await olderBrowser(site().browser, builds)
    const page = await context.newPage()
    await page.goto(site().server.url)
    const there = lossesOf(
      await inBrowser(page, { name: 'card', csv: site().files.csv, modelFiles, settings: { ...settings, device: 'webgpu' } }),
    )
    expect([...new Set(builds)]).toEqual(['ort-wasm-simd-threaded.asyncify.wasm'])
    const expected = lossesOf(await inNode(site().files.file, join(site().files.root, 'node'), settings, folder))
    expect(there.length).toBe(20)
    const { relative = 0 } = webgpu.tolerances.float32 ?? {}
    expected.forEach((loss, i) => expect(Math.abs((there[i] ?? NaN) / loss - 1), `step ${i + 1}`).toBeLessThan(relative))
  }, 400_000)
})
