/** Training in Chromium by WebGPU on its software card: the losses and the adapter of Node's processor, float nodes, buffers, and a lost card. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unzipSync } from 'fflate'
import * as native from 'onnxruntime-node'
import type { Page } from 'playwright-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors, readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { webgpu } from '../../accelerated/engines/devices/device.js'
import { webGpu, type WebRuntime } from '../../accelerated/engines/onnxRuntimeWeb.js'
import { memoryStorage } from '../../accelerated/storage/memory.js'
import type { FinetuneEvent } from '../../finetuning/run/run.js'
import { finetune } from '../../web/index.js'
import { tinyTensors, writeTinyModel } from '../cli/tinyModel.js'
import { placementsOf } from '../kernels/placements.js'
import { typedNodes, type TypedNode } from '../kernels/typedNodes.js'
import { hasChromium, softwareCard } from '../support/chromium.js'
import { jsonLines } from '../support/jsonLines.js'
import { inNode, runSettings } from './browserRun.js'
import { withServedPage } from './servedPage.js'
import { watched, watchPage } from './watchedPage.js'

const settings = { ...runSettings, method: 'lora', batchSize: 4, maxLength: 12, learningRate: 0.01, evalSteps: 1000 } as const

const site = withServedPage(...softwareCard, '--js-flags=--expose-gc')
beforeAll(async () => {
  if (hasChromium) await watchPage(site().files.page, settings)
})

/** The tiny model in float16, which this card does not have. */
const halfModel = async (): Promise<string> => {
  const tensors = new Map([...tinyTensors()].map(([name, tensor]) => [name, { ...tensor, dtype: 'F16' as const }]))
  return writeTinyModel(join(site().files.root, 'tiny'), { 'model.safetensors': writeSafetensors(tensors) })
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

/** Waits for the end of the run that the page shows. → the losses of its steps, and its adapter, from the files that the page downloads */
const ended = async (page: Page): Promise<{ readonly losses: readonly number[]; readonly adapter: Uint8Array }> => {
  await page.getByText(/^Finished; the adapter is that of step \d+\.$/).waitFor({ timeout: 180_000 })
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'The whole run' }).click()])
  const { 'metrics.jsonl': metrics, 'adapter/adapter_model.safetensors': adapter } = unzipSync(await readFile(await download.path()))
  return { losses: lossesOf(jsonLines<FinetuneEvent>(new TextDecoder().decode(metrics))), adapter: adapter ?? new Uint8Array() }
}

const lossesOf = (events: readonly FinetuneEvent[]): readonly number[] =>
  events.flatMap((event) => (event.kind === 'step' ? [event.taskLoss] : []))

/** The nodes of the step's graph as the page's engine writes it: the largest graph of a run. */
const stepNodes = async (model: string): Promise<readonly TypedNode[]> => {
  const graphs: Uint8Array[] = []
  const runtime = {
    Tensor: native.Tensor,
    env: { webgpu: {} },
    InferenceSession: {
      create: (graph: Uint8Array, { preferredOutputLocation: _, ...options }: Record<string, unknown>) => {
        graphs.push(graph)
        return native.InferenceSession.create(graph, { ...options, executionProviders: ['cpu'] })
      },
    },
  } as unknown as WebRuntime
  const storage = memoryStorage()
  await storage.makeFolder('model')
  for (const name of await readdir(model)) await storage.write(`model/${name}`, await readFile(join(model, name)))
  await storage.write('reviews.csv', await readFile(site().files.file))
  const options = { model: 'model', task: { task: 'reviews.csv' }, output: 'run', settings: { ...settings, maxSteps: 1 } }
  for await (const _ of finetune(options, { storage, device: webGpu(async () => runtime, { halves: false }) }));
  return graphs.map(typedNodes).reduce((most, nodes) => (nodes.length > most.length ? nodes : most))
}

describe.skipIf(!hasChromium)('a run by WebGPU in Chromium (skipped without Chromium)', () => {
  it('agrees with the processor, leaves no float node to it, frees its buffers, and resumes in the same bits after the card is lost', async () => {
    const page = await site().browser.newPage()
    const { placements, held, listen } = watched()
    page.on('console', listen)
    await page.goto(site().server.url)
    const chip = page.getByText('WebGPU: google swiftshader')
    expect(await chip.getAttribute('title')).toBe('A program on the processor, and slower than it.')
    await page.locator('#settings summary').click()
    await choices(page)
    const folder = await halfModel()
    await page.getByLabel('A folder of this computer').check()
    await page.setInputFiles('#folder', folder)
    await page.setInputFiles('#data', site().files.file)
    await page.getByText('reviews.csv: 60 rows.').waitFor()
    await page.getByLabel('Precision').selectOption('float32')
    await page.getByLabel('Method').selectOption('lora')
    await page.locator('#start').click()
    const whole = await ended(page)

    const here = await inNode(site().files.file, join(site().files.root, 'node'), settings, folder)
    const { relative = 0 } = webgpu.tolerances.float32 ?? {}
    expect(whole.losses.length).toBe(20)
    lossesOf(here).forEach((loss, i) => expect(Math.abs((whole.losses[i] ?? NaN) / loss - 1), `step ${i + 1}`).toBeLessThan(relative))
    const adapter = await numbersOf(whole.adapter)
    const expected = await numbersOf(await readFile(join(site().files.root, 'node/adapter/adapter_model.safetensors')))
    expect([...adapter.keys()]).toEqual([...expected.keys()])
    for (const [name, numbers] of expected) expect(apart(numbers, adapter.get(name)), name).toBeLessThan(relative)

    const nodes = await stepNodes(folder)
    const places = placementsOf(placements)
    expect([...places].filter(([name, place]) => place === 'cpu' && !nodes.some((node) => node.name === name))).toEqual([])
    const floats = nodes.filter(({ inputs, outputs }) => [...inputs, ...outputs].some((type) => type?.startsWith('float') === true))
    expect(floats.filter(({ name }) => places.get(name) === 'cpu')).toEqual([])
    expect(floats.filter(({ name }) => places.get(name) === 'gpu').length / floats.length).toBeGreaterThan(0.9) // others are fused

    for (let step = 11; step <= 20; step++) expect(held.get(step), `buffers after step ${step}`).toEqual(held.get(10))

    const steps = async (): Promise<number> => parseInt((await page.locator('#numbers b').allTextContents())[0] ?? '', 10)
    await page.locator('#start').click()
    await page.getByText('Preparing the first step…').waitFor()
    await expect.poll(steps).toBeGreaterThan(6)
    const devTools = await site().browser.newBrowserCDPSession()
    await devTools.send('Browser.crashGpuProcess').catch(() => undefined)
    const line = page.getByRole('alert')
    await line.waitFor()
    expect(await line.textContent()).toMatch(
      /^device webgpu: expected the graphics card until the run ends, got it lost( \([^\n]+\))?; reload the page and resume the run$/,
    )
    expect(await page.textContent('#runs')).toMatch(/reviews-lora-2: stopped after step (5|10|15)/)
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByText(/^Resumed after step (5|10|15) of 20$/).waitFor()
    expect(await ended(page)).toEqual(whole)
    await page.close()
  }, 400_000)
})

/** The page says in words what a run trains on, and starts with the processor: this card is slower. */
const choices = async (page: Page): Promise<void> => {
  expect(await page.textContent('#runs-on')).toBe('The run trains on the processor.')
  await page.getByLabel('Device').selectOption('webgpu')
  expect(await page.textContent('#runs-on')).toBe('The run trains on the graphics card google swiftshader, by WebGPU.')
  await page.getByLabel('Precision').selectOption('int8')
  expect(await page.textContent('#runs-on')).toBe('The run trains on the processor: WebGPU has no products in int8.')
}
