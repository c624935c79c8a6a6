/** The page in Chromium: by keyboard, on a phone, with a name for every control, and one line for each mistake. */
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unzipSync } from 'fflate'
import { readFile } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runFormatVersion } from '../../finetuning/run/runFiles.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { hasChromium, launchChromium } from '../support/chromium.js'
import { pageAndData, served, type Served } from './browserRun.js'

let browser: Browser | null = null
let files: Awaited<ReturnType<typeof pageAndData>> = { root: '', page: '', file: '', csv: '' }
const none: Served = { url: '', close: () => undefined }
let [isolated, plain]: [Served, Served] = [none, none]
beforeAll(async () => {
  if (!hasChromium) return
  files = await pageAndData()
  ;[isolated, plain] = [await served(files.page), await served(files.page, false)]
  browser = await launchChromium()
}, 60_000)
afterAll(async () => {
  await browser?.close()
  isolated.close()
  plain.close()
  if (files.root !== '') await rm(files.root, { recursive: true })
})

const opened = async (url: string): Promise<{ readonly page: Page; readonly errors: readonly string[] }> => {
  if (browser === null) throw new Error('expected a browser, got none')
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage()
  const errors: string[] = []
  page.on('console', (message) => errors.push(message.text()))
  page.on('pageerror', ({ message }) => errors.push(message))
  await page.goto(url)
  await page.getByText('This page uses').waitFor()
  return { page, errors }
}

/** Whether the page fits into the window, at the width of a phone and of a desk. */
const fits = async (page: Page): Promise<void> => {
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 900 })
    expect(await page.evaluate<number>('document.documentElement.scrollWidth'), String(width)).toBeLessThanOrEqual(width)
  }
}

const errorLine = async (page: Page, shown: RegExp): Promise<void> => {
  const line = page.getByRole('alert').filter({ hasText: shown })
  await line.waitFor({ timeout: 30_000 })
  expect(await line.textContent()).not.toContain('\n')
}

/** Controls without a name for a screen reader. */
const nameless = `[...document.querySelectorAll('input, select, textarea, button')].filter((control) =>
  !control.getAttribute('aria-label') && !control.labels?.length && !control.textContent.trim()).map((control) => control.outerHTML)`

/** The learning rate of the run `reviews-lora-1` in the page's storage. */
const storedRate = `(async () => {
  let folder = await navigator.storage.getDirectory()
  for (const name of ['salora', 'runs', 'reviews-lora-1']) folder = await folder.getDirectoryHandle(name)
  const config = await (await folder.getFileHandle('config.json')).getFile()
  return JSON.parse(await config.text()).settings.learningRate
})()`

/** Puts a run that began on a graphics card into the page's storage: all of it that is read before the card is asked for. */
const runOfCard = `(async () => {
  let folder = await navigator.storage.getDirectory()
  for (const name of ['salora', 'runs', 'of-card']) folder = await folder.getDirectoryHandle(name, { create: true })
  const checkpoints = await folder.getDirectoryHandle('checkpoints', { create: true })
  const write = async (into, name, text) => {
    const file = await (await into.getFileHandle(name, { create: true })).createWritable()
    await file.write(text)
    await file.close()
  }
  await write(checkpoints, 'step-000000005.safetensors', '')
  await write(folder, 'config.json', JSON.stringify(${JSON.stringify({
    formatVersion: runFormatVersion,
    model: 'models/embedded',
    task: { task: 'data/of-card/reviews.csv' },
    settings: { method: 'lora', device: 'webgpu' },
    device: 'webgpu',
  })}))
})()`

/** The event of a tab that leaves the front. */
const inBackground = `Object.defineProperty(document, 'hidden', { value: true, configurable: true })
  document.dispatchEvent(new Event('visibilitychange'))
  delete document.hidden`

describe.skipIf(!hasChromium)('the page in Chromium (skipped without Chromium)', () => {
  it('lets its threads connect to no other host', async () => {
    const probe = `self.addEventListener('securitypolicyviolation', ({ blockedURI }) => postMessage('refused ' + blockedURI))
      fetch('https://elsewhere.example/').catch(() => setTimeout(() => postMessage('not refused'), 500))`
    await writeFile(join(files.page, 'probe.js'), probe)
    const { page } = await opened(isolated.url)
    const answer = "new Promise((done) => { new Worker('probe.js').onmessage = ({ data }) => done(data) })"
    expect(await page.evaluate<string>(answer)).toMatch(/^refused https:\/\/elsewhere\.example/)
    await page.context().close()
  }, 120_000)

  it('says what to do if its worker does not load', async () => {
    if (browser === null) throw new Error('expected a browser, got none')
    const context = await browser.newContext({ serviceWorkers: 'block' })
    await context.route('**/worker.js', (route) => route.abort())
    const page = await context.newPage()
    await page.goto(isolated.url)
    await errorLine(page, /^worker\.js did not load\. Check the connection, then reload the page$/)
    await context.close()
  }, 60_000)

  it('trains, predicts and saves by keyboard, and fits a phone', async () => {
    const { page, errors } = await opened(isolated.url)
    await fits(page)
    await page.setInputFiles('#data', files.file)
    await page.getByText('reviews.csv: 60 rows.').waitFor()
    expect(await page.locator('#summary td').allTextContents()).toEqual([
      'bad',
      expect.stringMatching(/^\d+$/),
      'good',
      expect.stringMatching(/^\d+$/),
    ])
    await page.selectOption('#method', 'lora')
    await page.fill('#epochs', '1')
    await page.fill('#maxLength', '32')
    await page.getByLabel('Longest text').press('Tab')
    await page.keyboard.press('Enter') // on Start training
    await page.evaluate(inBackground)
    await page.getByText(/^Finished; the adapter is that of step \d+\.$/).waitFor({ timeout: 60_000 })
    expect(await page.locator('#messages').textContent()).toContain('This tab is in the background: browsers slow it down there.')
    await page.getByRole('button', { name: 'Predict' }).press('Enter')
    await page.locator('#predictions td').first().waitFor({ timeout: 30_000 })
    expect(await page.locator('#predictions tbody tr').count()).toBe(2)
    expect(await page.locator('#charts svg').count()).toBeGreaterThanOrEqual(2)
    await fits(page)
    expect(await page.locator('#numbers small').textContent()).toBe(' ms')
    expect(await page.evaluate(nameless)).toEqual([])
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download the adapter' }).press('Enter'),
    ])
    expect(download.suggestedFilename()).toBe('reviews-lora-1-adapter.zip')
    const zip = unzipSync(await readFile(await download.path()))
    expect(Object.keys(zip)).toEqual(expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors']))
    expect(await page.evaluate(storedRate)).toBe(0.0004) // an empty field is the method's rate
    expect(errors).toEqual([])
    await page.context().close()
  }, 180_000)

  it('refuses in one line what it cannot train, before it loads it, and says that it has one thread without the headers', async () => {
    const { page } = await opened(plain.url)
    expect(await page.textContent('#machine')).toContain('one thread of the processor: its server does not send the headers COOP and COEP')
    expect(await page.textContent('#machine')).toContain('It does not use a graphics card: this browser offers none by WebGPU.')
    expect(await page.locator('#device option:disabled').textContent()).toBe('graphics card (WebGPU)')
    await page.setInputFiles('#data', { name: 'other.csv', mimeType: 'text/csv', buffer: Buffer.from('text,class\na,b\nc,d\n') })
    await errorLine(page, /^data\/other\.csv, row 1: expected a column "label"/)
    expect(await page.getByRole('button', { name: 'Start training' }).isDisabled()).toBe(true)
    await page.setInputFiles('#data', files.file)
    await page.getByText('reviews.csv: 60 rows.').waitFor()

    await page.getByLabel('A model of the Hugging Face hub').check()
    await page.getByLabel('Hub id').fill('no id')
    await page.getByRole('button', { name: 'Start training' }).click()
    await errorLine(page, /^model: expected OWNER\/NAME of the hub, got "no id"$/)

    const folder = join(files.root, 'chosen')
    await mkdir(folder)
    await writeFile(join(folder, 'model.safetensors'), '')
    await page.getByLabel('A folder of this computer').check()
    await page.setInputFiles('#folder', folder)
    await page.getByRole('button', { name: 'Start training' }).click()
    await errorLine(page, /^chosen: expected config\.json in the folder, got none$/)

    await writeFile(join(folder, 'config.json'), '{}')
    await truncate(join(folder, 'model.safetensors'), 2e9)
    await page.setInputFiles('#folder', folder)
    await page.getByRole('button', { name: 'Start training' }).click()
    await errorLine(page, /^chosen: expected at most 1\.5 GB of weights .*, got 2\.0 GB; train it with Node$/)

    await page.evaluate(runOfCard)
    await page.reload()
    await page.getByRole('button', { name: 'Resume of-card' }).click()
    await errorLine(
      page,
      /^of-card: expected a browser with WebGPU and a graphics card, on which this run began \(a new run may train on the processor\), got none$/,
    )

    await page.setInputFiles('#data', files.file)
    await page.getByText('reviews.csv: 60 rows.').waitFor()
    const session = await page.context().newCDPSession(page)
    await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(plain.url).origin, quotaSize: 100 })
    await page.getByLabel('The model of this page').check()
    await page.getByRole('button', { name: 'Start training' }).click()
    await errorLine(page, /no space left in the browser's storage for this page \(QuotaExceededError\)$/)
    await page.context().close()
  }, 180_000)

  it('trains a model of the hub, shows its size and its errors, and keeps it', async () => {
    const { page } = await opened(isolated.url)
    const folder = await writeTinyModel(join(files.root, 'hub'))
    let requests: string[] = []
    await page.context().route('https://huggingface.co/**', async (route) => {
      requests.push(route.request().url())
      const [, id = '', file = ''] = /co\/(.+)\/resolve\/main\/(.+)$/.exec(route.request().url()) ?? []
      const headers = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'Content-Range, X-Error-Code' }
      const body = id === 'owner/tiny' ? await readFile(join(folder, file)).catch(() => null) : null
      if (body === null) return route.fulfill({ status: id === 'owner/tiny' ? 404 : 401, headers })
      if (route.request().headers()['range'] === undefined) return route.fulfill({ headers, body })
      return route.fulfill({ status: 206, headers: { ...headers, 'content-range': `bytes 0-0/${body.length}` }, body: body.subarray(0, 1) })
    })
    await page.setInputFiles('#data', files.file)
    await page.selectOption('#method', 'lora')
    await page.fill('#epochs', '1')
    await page.fill('#maxLength', '16')
    await page.getByLabel('A model of the Hugging Face hub').check()
    const id = page.getByLabel('Hub id')
    await id.fill('owner/none')
    await id.press('Tab')
    await errorLine(page, /^owner\/none: expected a public model, got status 401: it does not exist, or it needs an account$/)
    await id.fill('owner/tiny')
    await id.press('Tab')
    await page.getByText(/^roberta, \d\.\d MB to download$/).waitFor()
    expect(await page.getByRole('alert').isVisible()).toBe(false)
    await page.getByRole('button', { name: 'Start training' }).click()
    await page.getByText(/^Finished; the adapter is that of step \d+\.$/).waitFor({ timeout: 30_000 })
    expect(requests.filter((url) => url.endsWith('tiny/resolve/main/model.safetensors')).length).toBe(3) // its size twice, and its bytes
    await page.context().unroute('https://huggingface.co/**')
    await page.context().route('https://huggingface.co/**', (route) => {
      requests.push(route.request().url())
      return route.abort()
    })
    requests = []
    await id.fill('owner/none')
    await id.press('Tab')
    await errorLine(
      page,
      /^owner\/none: expected an answer of https:\/\/huggingface\.co \(or a model's folder of this computer\), got none: no connection$/,
    )
    await id.fill('owner/tiny')
    await id.press('Tab')
    await page.getByText(/^roberta, \d\.\d MB, in this browser$/).waitFor()
    expect(requests.length).toBe(1)
    await page.context().close()
  }, 120_000)
})
