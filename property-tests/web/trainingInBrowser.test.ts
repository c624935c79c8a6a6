/** Training in Chromium on WebAssembly: the losses and ranks of Node's run, its bits after a killed tab, its memory, and no connection. */
import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from 'playwright-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { openTrainedAdapter } from '../../finetuning/use/openModel.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import type { FinetuneEvent, RunResult } from '../../finetuning/run/run.js'
import { hasChromium } from '../support/chromium.js'
import { asked, downloaded, inBrowser, inNode, olderBrowser, tinyModelFiles } from './browserRun.js'
import { withServedPage } from './servedPage.js'

const python = process.env['PEFT_PYTHON'] ?? 'python3'
const found = 'import importlib.util, sys; sys.exit(importlib.util.find_spec("peft") is None)'
const hasPeft = hasChromium && spawnSync(python, ['-c', found]).status === 0

const site = withServedPage('--enable-blink-features=ForceEagerMeasureMemory') // at once, after a collection of garbage
let context: BrowserContext | null = null
let here: readonly FinetuneEvent[] = []
beforeAll(async () => {
  if (!hasChromium) return
  context = await site().browser.newContext()
  here = await inNode(site().files.file, join(site().files.root, 'node'))
}, 60_000)

const newPage = async (): Promise<Page> => {
  if (context === null) throw new Error('expected a browser, got none')
  const page = await context.newPage()
  await page.goto(site().server.url)
  return page
}

const tinyModel = (): Promise<Readonly<Record<string, string>>> => tinyModelFiles(join(site().files.root, 'tiny'))

/** Megabytes of the page's workers, with the memory of WebAssembly. */
const workerMemory = (page: Page): Promise<number> =>
  page.evaluate<number>(`performance.measureUserAgentSpecificMemory().then(({ breakdown }) => breakdown
    .filter(({ attribution }) => attribution.some(({ scope }) => scope === 'DedicatedWorkerGlobalScope'))
    .reduce((sum, { bytes }) => sum + bytes / 1e6, 0))`)

const stepsOf = (events: readonly FinetuneEvent[]) => events.flatMap((event) => (event.kind === 'step' ? [event] : []))
const resultOf = (events: readonly FinetuneEvent[]): RunResult | undefined =>
  events.flatMap((event) => (event.kind === 'result' ? [event.result] : []))[0]

const texts = ['A wonderful place.', 'The worst meal of my life.', 'I loved it', 'Not good at all', 'The food was cold', 'Great!']

/** The adapter of the first test's run, as the page downloads it. */
let adapter: Readonly<Record<string, Uint8Array>> = {}

describe.skipIf(!hasChromium)('a run in Chromium (skipped without Chromium)', () => {
  it('has the losses of the run in Node, within 1e-5, its ranks, and an adapter that Node opens', async () => {
    const page = await newPage()
    const builds: string[] = []
    page.on('request', (request) => builds.push(...(/[\w.-]+\.wasm$/.exec(request.url()) ?? [])))
    const there = await inBrowser(page, { name: 'whole', csv: site().files.csv })
    expect([...new Set(builds)]).toEqual(['ort-wasm-simd-threaded.jspi.wasm']) // the card's build too
    const [ours, theirs] = [stepsOf(there), stepsOf(here)]
    expect(ours.length).toBe(20)
    theirs.forEach(({ taskLoss, loss, gradientNorm }, i) => {
      expect(Math.abs((ours[i]?.taskLoss ?? NaN) - taskLoss), `task loss of step ${i + 1}`).toBeLessThan(1e-5)
      // the penalty of the search grows without bound in so short a run
      expect(Math.abs((ours[i]?.loss ?? NaN) / loss - 1), `loss of step ${i + 1}`).toBeLessThan(1e-5)
      expect(Math.abs((ours[i]?.gradientNorm ?? NaN) / gradientNorm - 1), `gradient of step ${i + 1}`).toBeLessThan(1e-3)
    })
    const { ranks, last, trainableParameters, majority } = resultOf(here) ?? {}
    expect(Object.keys(ranks ?? {}).length).toBeGreaterThan(10)
    expect(resultOf(there)).toMatchObject({ ranks, trainableParameters, majority, stepsDone: 20, interrupted: false, device: 'cpu' })
    expect(resultOf(there)?.last.scores['accuracy']).toBe(last?.scores['accuracy'])
    const warnings = (events: readonly FinetuneEvent[]) => events.flatMap((event) => (event.kind === 'warning' ? [event.message] : []))
    expect(warnings(there)).toEqual(warnings(here))

    adapter = await downloaded(page, 'whole', 'adapter')
    const folder = join(site().files.root, 'adapter')
    await mkdir(folder)
    for (const [name, bytes] of Object.entries(adapter)) await writeFile(join(folder, name), bytes)
    const labelsOf = (predictions: readonly object[]) => predictions.map((prediction) => (prediction as { readonly label: string }).label)
    const inPage = (await asked(page, { kind: 'predict', texts }, 'predictions')) as { readonly predictions: readonly object[] }
    const opened = await openTrainedAdapter({ model: embeddedModel, adapter: folder, device: 'cpu', maxLength: 32 })
    const inNodes = await opened.predictions(texts.map((text) => ({ text })))
    await opened.release()
    expect(labelsOf(inPage.predictions)).toEqual(labelsOf(inNodes))
    const scoreOf = (prediction: object | undefined): number => (prediction as { readonly score: number }).score
    inNodes.forEach((prediction, i) => expect(scoreOf(inPage.predictions[i])).toBeCloseTo(scoreOf(prediction), 4))
    await page.close()
  }, 180_000)

  it('trains by the build of the processor where WebAssembly cannot wait for promises', async () => {
    const builds: string[] = []
    const older = await olderBrowser(site().browser, builds)
    const page = await older.newPage()
    await page.goto(site().server.url)
    const settings = { method: 'lora', maxSteps: 4, maxLength: 8 } as const
    const there = stepsOf(await inBrowser(page, { name: 'older', csv: site().files.csv, modelFiles: await tinyModel(), settings }))
    expect([...new Set(builds)]).toEqual(['ort-wasm-simd-threaded.wasm'])
    const expected = stepsOf(await inNode(site().files.file, join(site().files.root, 'older'), settings, join(site().files.root, 'tiny')))
    expect(there.length).toBe(4)
    expected.forEach(({ loss }, i) => expect(Math.abs((there[i]?.loss ?? NaN) - loss), `step ${i + 1}`).toBeLessThan(1e-5))
    await older.close()
  }, 180_000)

  it('is reported in one page that loads nothing, as salora report writes it', async () => {
    const page = await newPage()
    await inBrowser(page, { name: 'reported', csv: site().files.csv, settings: { method: 'lora', maxSteps: 3 } })
    const bytes = Uint8Array.from((await asked(page, { kind: 'report', run: 'reported' }, 'download')) as number[])
    const html = new TextDecoder().decode(bytes)
    expect(html).toMatch(/^<!doctype html>/)
    expect(html).toContain('salora: reported')
    expect(html).toMatch(/"title":"[^"]*loss/i)
    expect(html).not.toMatch(/(src|href)="(?!data:|#)/)
    await expect(asked(page, { kind: 'report', run: 'none' }, 'download')).rejects.toThrow(
      'runs/none: expected a finished run, got no config.json',
    )
    await page.close()
  }, 180_000)

  it('trains in int8 as Node does, on a packed file as on the plain one, and quantizes a model once', async () => {
    const settings = { method: 'lora', precision: 'int8', maxSteps: 4 } as const
    const page = await newPage()
    const there = await inBrowser(page, { name: 'eight-bits', csv: site().files.csv, settings })
    const inNodes = await inNode(site().files.file, join(site().files.root, 'eight-bits'), settings)
    const [ours, theirs] = [stepsOf(there), stepsOf(inNodes)]
    expect(ours.length).toBe(4)
    theirs.forEach(({ taskLoss }, i) => expect(Math.abs((ours[i]?.taskLoss ?? NaN) - taskLoss), `step ${i + 1}`).toBeLessThan(1e-3))
    const quantizing = (events: readonly FinetuneEvent[]): boolean =>
      events.some((event) => event.kind === 'preparing' && event.what.startsWith('quantizing'))
    const again = await inBrowser(page, { name: 'eight-bits-again', csv: site().files.csv, isPacked: true, settings })
    expect([quantizing(there), quantizing(again)]).toEqual([true, false])
    expect(stepsOf(again).map(({ loss }) => loss)).toEqual(ours.map(({ loss }) => loss))
    await page.close()
  }, 180_000)

  it.skipIf(!hasPeft)(
    'leaves an adapter with the same scores in PEFT (skipped without a Python that has PEFT)',
    async () => {
      const folder = join(site().files.root, 'adapter')
      const program = fileURLToPath(new URL('./adapter_in_peft.py', import.meta.url))
      const { stdout, stderr } = spawnSync(python, [program, embeddedModel, folder], { input: texts.join('\n'), encoding: 'utf8' })
      expect(stdout, stderr).toMatch(/^\[/)
      const theirs = JSON.parse(stdout) as readonly (readonly number[])[]
      const opened = await openTrainedAdapter({ model: embeddedModel, adapter: folder, device: 'cpu', maxLength: 32 })
      const ours = await opened.predictions(texts.map((text) => ({ text })))
      await opened.release()
      ours.forEach((prediction, i) => {
        const { score } = prediction as unknown as { readonly score: number }
        expect(Math.max(...(theirs[i] ?? [])), texts[i]).toBeCloseTo(score, 4)
      })
    },
    120_000,
  )

  it('ends in the same bits after its tab was closed in mid-run', async () => {
    const steps = 120 // the tab closes while they last, on a slow machine too
    const modelFiles = await tinyModel()
    const run = { csv: site().files.csv, modelFiles, settings: { method: 'lora', maxSteps: steps, dropout: 0.1 } }
    const page = await newPage()
    await inBrowser(page, { name: 'uninterrupted', ...run })
    const expected = await downloaded(page, 'uninterrupted', 'adapter')
    const killed = await newPage()
    await inBrowser(killed, { name: 'killed', ...run, leaveAfter: 7 })
    await expect(asked(page, { kind: 'remove', run: 'killed' }, 'runs')).rejects.toThrow('expected a run that no other tab works on')
    await killed.close()
    const resumed = await inBrowser(page, { name: 'killed', ...run, resume: true })
    const { resumedAt = NaN } = resumed.find(({ kind }) => kind === 'start') as { readonly resumedAt?: number }
    expect(resumedAt).toBeGreaterThanOrEqual(5)
    expect(resumedAt).toBeLessThan(steps)
    expect(stepsOf(resumed).map(({ step }) => step)).toEqual(Array.from({ length: steps - resumedAt }, (_, i) => resumedAt + 1 + i))
    const found = await downloaded(page, 'killed', 'adapter')
    expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
    expect(found['adapter_model.safetensors']).toEqual(expected['adapter_model.safetensors'])
    await page.close()
  }, 180_000)

  it('holds as much memory after 300 steps as after 50', async () => {
    const page = await newPage()
    const modelFiles = await tinyModel()
    const megabytes: number[] = []
    for (const maxSteps of [50, 300]) {
      const settings = { method: 'lora', maxSteps, maxLength: 8, saveSteps: 25 }
      await inBrowser(page, { name: `memory-${maxSteps}`, csv: site().files.csv, modelFiles, settings })
      megabytes.push(await workerMemory(page))
    }
    const [early = NaN, late = NaN] = megabytes
    expect(early).toBeGreaterThan(16) // WebAssembly begins with so much
    expect(late - early).toBeLessThan(1)
    await page.close()
  }, 180_000)

  it('opens and trains without a connection after its first load', async () => {
    const page = await newPage()
    await page.evaluate('navigator.serviceWorker.ready.then(() => true)')
    await context?.setOffline(true)
    try {
      await page.reload()
      expect(await page.title()).toContain('salora')
      const events = await inBrowser(page, {
        name: 'offline',
        csv: site().files.csv,
        settings: { method: 'lora', maxSteps: 2, threads: 2 },
      })
      expect(resultOf(events)).toMatchObject({ stepsDone: 2, interrupted: false })
    } finally {
      await context?.setOffline(false)
      await page.close()
    }
  }, 180_000)
})
