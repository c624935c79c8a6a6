/** Training in Chromium by WebGPU on its software card: the losses and the adapter of Node's processor, from weights in float16, and a lost card. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors, readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { webgpu } from '../../accelerated/engines/devices/webgpu.js'
import { memoryStorage } from '../../accelerated/storage/memory.js'
import { tinyTensors, writeTinyModel } from '../cli/tinyModel.js'
import { hasChromium, launchChromium, softwareCard } from '../support/chromium.js'
import { asked, downloaded, inBrowser, inNode, pageAndData, served, type Served } from './browserRun.js'

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

const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']
/** The tiny model in float16, which this card does not have. */
const halfModel = async (): Promise<string> => {
  const tensors = new Map([...tinyTensors()].map(([name, tensor]) => [name, { ...tensor, dtype: 'F16' as const }]))
  return writeTinyModel(join(files.root, 'tiny'), { 'model.safetensors': writeSafetensors(tensors) })
}

const numbersOf = async (bytes: Uint8Array): Promise<ReadonlyMap<string, Float32Array>> => {
  const storage = memoryStorage()
  await storage.write('adapter', bytes)
  const { tensors } = await readSafetensors('adapter', storage)
  return new Map(await Promise.all([...tensors].map(async ([name, entry]) => [name, await readTensor(entry)] as const)))
}

/** The largest difference as a share of the largest number. */
const apart = (a: Float32Array = new Float32Array(), b: Float32Array = new Float32Array()): number =>
  a.length === b.length ? Math.max(...a.map((x, i) => Math.abs(x - (b[i] ?? NaN)))) / Math.max(...a.map(Math.abs)) : NaN

describe.skipIf(!hasChromium)('a run by WebGPU in Chromium (skipped without Chromium)', () => {
  it('agrees with the processor over 20 steps within the bound of WebGPU, and ends in one line where the card is lost', async () => {
    const page = await (browser as Browser).newPage()
    await page.goto(server.url)
    await page.getByText('It can use the graphics card google swiftshader, a program on the processor and slower than it.').waitFor()
    await choices(page)
    const folder = await halfModel()
    const modelFiles = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, [...(await readFile(join(folder, name)))]] as const)),
    )
    const settings = { method: 'lora', batchSize: 4, maxLength: 12, learningRate: 0.01, evalSteps: 1000, device: 'webgpu' }
    const there = await inBrowser(page, { name: 'card', csv: files.csv, modelFiles, settings })
    const here = await inNode(files.file, join(files.root, 'node'), settings, folder)
    const { relative = 0 } = webgpu.tolerances.float32 ?? {}
    const lossesOf = (events: typeof here) => events.flatMap((event) => (event.kind === 'step' ? [event.taskLoss] : []))
    const [ours, theirs] = [lossesOf(there), lossesOf(here)]
    expect(theirs.length).toBe(20)
    theirs.forEach((loss, i) => expect(Math.abs((ours[i] ?? NaN) / loss - 1), `step ${i + 1}`).toBeLessThan(relative))
    expect(there.at(-1)).toMatchObject({ kind: 'result', result: { device: 'webgpu', stepsDone: 20 } })
    const adapter = await numbersOf((await downloaded(page, 'card', 'adapter'))['adapter_model.safetensors'] ?? new Uint8Array())
    const expected = await numbersOf(await readFile(join(files.root, 'node/adapter/adapter_model.safetensors')))
    expect([...adapter.keys()]).toEqual([...expected.keys()])
    for (const [name, numbers] of expected) expect(apart(numbers, adapter.get(name)), name).toBeLessThan(relative)

    const devTools = await (browser as Browser).newBrowserCDPSession()
    await devTools.send('Browser.crashGpuProcess').catch(() => undefined)
    await expect(asked(page, { kind: 'predict', texts: ['good'] }, 'predictions')).rejects.toThrow(
      /device webgpu: expected the graphics card until the run ends, got it lost( \([^\n]+\))?; reload the page and resume the run/,
    )
    await page.close()
  }, 240_000)
})

/** The page says in words what a run trains on, and starts with the processor: this card is slower. */
const choices = async (page: Page): Promise<void> => {
  expect(await page.textContent('#runs-on')).toBe('The run trains on the processor.')
  await page.getByLabel('Device').selectOption('webgpu')
  expect(await page.textContent('#runs-on')).toBe('The run trains on the graphics card google swiftshader, by WebGPU.')
  await page.getByLabel('Precision').selectOption('int8')
  expect(await page.textContent('#runs-on')).toBe('The run trains on the processor: WebGPU has no products in int8.')
}
