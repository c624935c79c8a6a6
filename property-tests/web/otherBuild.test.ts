/** Where WebAssembly cannot wait for promises, the page trains on the graphics card by a larger build of ONNX Runtime, which opens slowly. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { webgpu } from '../../accelerated/engines/devices/device.js'
import type { FinetuneEvent } from '../../finetuning/run/run.js'
import { hasChromium, launchChromium, softwareCard } from '../support/chromium.js'
import { inBrowser, inNode, olderBrowser, pageAndData, served, tinyModelFiles, type Served } from './browserRun.js'

let browser: Browser | null = null
let files: Awaited<ReturnType<typeof pageAndData>> = { root: '', page: '', file: '', csv: '' }
let server: Served = { url: '', close: () => undefined }
beforeAll(async () => {
  if (!hasChromium) return
  files = await pageAndData()
  server = await served(files.page)
  browser = await launchChromium(...softwareCard)
}, 60_000)
afterAll(async () => {
  await browser?.close()
  server.close()
  if (files.root !== '') await rm(files.root, { recursive: true })
})

const lossesOf = (events: readonly FinetuneEvent[]): readonly number[] =>
  events.flatMap((event) => (event.kind === 'step' ? [event.taskLoss] : []))

describe.skipIf(!hasChromium)('a browser whose WebAssembly cannot wait for promises (skipped without Chromium)', () => {
  it('trains by WebGPU with the losses of Node', async () => {
    const folder = join(files.root, 'tiny')
    const modelFiles = await tinyModelFiles(folder)
    const settings = { method: 'lora', batchSize: 4, maxLength: 12, learningRate: 0.01, evalSteps: 1000 } as const
    const builds: string[] = []
    const context = await olderBrowser(browser as Browser, builds)
    const page = await context.newPage()
    await page.goto(server.url)
    const there = lossesOf(await inBrowser(page, { name: 'card', csv: files.csv, modelFiles, settings: { ...settings, device: 'webgpu' } }))
    expect([...new Set(builds)]).toEqual(['ort-wasm-simd-threaded.asyncify.wasm'])
    const expected = lossesOf(await inNode(files.file, join(files.root, 'node'), settings, folder))
    expect(there.length).toBe(20)
    const { relative = 0 } = webgpu.tolerances.float32 ?? {}
    expected.forEach((loss, i) => expect(Math.abs((there[i] ?? NaN) / loss - 1), `step ${i + 1}`).toBeLessThan(relative))
  }, 400_000)
})
