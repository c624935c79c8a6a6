/** The page in Chromium: by keyboard, on a phone, with a name for every control, and one line for each mistake. */
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unzipSync } from 'fflate'
import { readFile } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runFormatVersion } from '../../finetuning/run/runFiles.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { accessibilityProblems, hasChromium, launchChromium } from '../support/chromium.js'
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
  await page.getByText('0 bytes sent').waitFor()
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

/** A setting of a run in the page's storage. */
const storedSetting = (run: string, name: string): string => `(async () => {
  let folder = await navigator.storage.getDirectory()
  for (const name of ['salora', 'runs', '${run}']) folder = await folder.getDirectoryHandle(name)
  const config = await (await folder.getFileHandle('config.json')).getFile()
  return JSON.parse(await config.text()).settings.${name}
})()`

/** All that a finished run `reviews-lora-1` offers, by keyboard. */
const assertDownloads = async (page: Page): Promise<void> => {
  const expected = {
    '#adapter': ['reviews-lora-1-adapter.zip', 'adapter_config.json'],
    '#onnx': ['reviews-lora-1-onnx.zip', 'onnx/model.onnx'],
    '#report': ['reviews-lora-1-report.html', '<!doctype html>'],
    '#folder-of-run': ['reviews-lora-1-run.zip', 'result.json'],
  } as const
  for (const [button, [name, content]] of Object.entries(expected)) {
    const [download] = await Promise.all([page.waitForEvent('download', { timeout: 30_000 }), page.locator(button).press('Enter')])
    expect(download.suggestedFilename()).toBe(name)
    const bytes = await readFile(await download.path())
    if (name.endsWith('.zip')) expect(Object.keys(unzipSync(bytes))).toContain(content)
    else expect(bytes.toString('utf8').startsWith(content)).toBe(true)
  }
}

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

  it('trains, answers the visitor while it trains, and saves by keyboard, and fits a phone', async () => {
    const { page, errors } = await opened(isolated.url)
    await fits(page)
    expect(await accessibilityProblems(page)).toEqual([])
    await page.setInputFiles('#data', files.file)
    await page.getByText('reviews.csv: 60 rows.').waitFor()
    expect(await page.locator('.classes b').allTextContents()).toEqual(['bad', 'good'])
    await page.locator('#settings summary').press('Enter')
    await page.selectOption('#method', 'lora')
    await page.fill('#epochs', '3')
    await page.fill('#maxLength', '32')
    await page.getByLabel('Sentence 1').fill('A wonderful place.')
    const answers = page.locator('#sentences output')
    const seen = page.evaluate<string[]>(`new Promise((done) => {
      const answers = new Set()
      new MutationObserver(() => {
        const text = document.querySelector('#sentences output').textContent
        if (text !== '') answers.add(text)
        if (document.getElementById('status').textContent.startsWith('Finished')) done([...answers])
      }).observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true })
    })`)
    await page.getByRole('button', { name: /^Train: about \d+ s$/ }).press('Enter')
    await page.evaluate(inBackground)
    await page.getByText(/^Finished; the adapter is that of step \d+\.$/).waitFor({ timeout: 60_000 })
    expect((await seen).length).toBeGreaterThan(2) // at each evaluation another score
    await page.getByLabel('Sentence 2').fill('The worst meal of my life.')
    await expect.poll(() => answers.nth(1).textContent(), { timeout: 30_000 }).toMatch(/^(good|bad) \d+ %$/)
    expect(await page.locator('#messages').textContent()).toContain('This tab is in the background: browsers slow it down there.')
    expect(await page.textContent('#verdict')).toMatch(/^\d of 6 unseen rows right, \d+\.\d %; always answering “\w+”: \d+\.\d %\. /)
    expect(await page.locator('#loss svg').count()).toBe(1)
    await fits(page)
    expect(await page.evaluate(nameless)).toEqual([])
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await accessibilityProblems(page), colorScheme).toEqual([])
    }
    await assertDownloads(page)
    expect(await page.evaluate(storedSetting('reviews-lora-1', 'learningRate'))).toBe(0.0004) // an empty field is the method's rate
    expect(errors).toEqual([])
    await page.context().close()
  }, 180_000)

  it('keeps runs in memory, and says so, where the browser blocks storage', async () => {
    if (browser === null) throw new Error('expected a browser, got none')
    const context = await browser.newContext({ serviceWorkers: 'block' })
    const blocked = "navigator.storage.getDirectory = () => Promise.reject(new DOMException('blocked', 'SecurityError'))\n"
    await context.route(/\/worker\.js$/, async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, body: blocked + (await response.text()) })
    })
    const page = await context.newPage()
    await page.goto(isolated.url)
    await page.getByText('This window keeps nothing: download before you close it').waitFor()
    await page.setInputFiles('#data', files.file)
    await page.getByText('reviews.csv: 60 rows.').waitFor()
    await page.locator('#settings summary').click()
    await page.selectOption('#method', 'lora')
    await page.fill('#epochs', '1')
    await page.getByRole('button', { name: /^Train/ }).click()
    await page.getByText(/^Finished; the adapter is that of step \d+\.$/).waitFor({ timeout: 60_000 })
    await assertDownloads(page)
    page.on('dialog', (dialog) => void dialog.accept())
    await page.getByRole('button', { name: 'Remove reviews-lora-1' }).click()
    await page.getByText('None yet.').waitFor()
    await context.close()
  }, 120_000)

  it('finds the columns, offers what mends a file, and warns where guessing is as good', async () => {
    const { page } = await opened(isolated.url)
    const upload = (name: string, text: string, encoding: BufferEncoding = 'utf8') =>
      page.setInputFiles('#data', { name, mimeType: 'text/csv', buffer: Buffer.from(text, encoding) })
    const rows = (make: (i: number) => string): string => Array.from({ length: 40 }, (_, i) => `${make(i)}\n`).join('')
    await upload(
      'kunden.csv',
      `Nr;Bemerkung;Stimmung\n${rows((i) => `${i};Satz Nummer ${i} ist schön;${i % 2 === 0 ? 'gut' : 'schlecht'}`)}`,
      'latin1',
    )
    await errorLine(
      page,
      /^data\/kunden\.csv, row 2: expected text in UTF-8 \(or the encoding windows-1252\), got bytes that are not UTF-8$/,
    )
    await page.getByRole('button', { name: 'Read it as Windows-1252' }).click()
    await page.getByText('kunden.csv: 40 rows.').waitFor()
    expect([await page.inputValue('#text'), await page.inputValue('#label')]).toEqual(['Bemerkung', 'Stimmung'])
    await upload('holes.csv', `text,label\n${rows((i) => `text ${i} of them,${i === 3 ? '' : i % 2}`)}`)
    await errorLine(page, /^data\/holes\.csv, row \d: expected a label \(or skip such rows\), got an empty one$/)
    await page.getByRole('button', { name: 'Skip the rows that lack something' }).click()
    await page.getByText('holes.csv: 39 rows.').waitFor()

    await upload('uneven.csv', `text,label\n${rows((i) => `text ${i} of them,${i % 10 === 0 ? 'rare' : 'usual'}`)}`)
    await page.getByText('uneven.csv: 40 rows.').waitFor()
    await page.locator('#settings summary').click()
    await page.selectOption('#method', 'lora')
    await page.fill('#epochs', '1')
    await page.getByRole('button', { name: /^Train/ }).click()
    const balance = page.getByRole('button', { name: 'Balance the classes and train again' })
    await balance.waitFor({ timeout: 60_000 })
    expect(await page.locator('#verdict').getAttribute('class')).toContain('poor')
    expect(await page.locator('#warnings li').count()).toBeGreaterThan(0)
    await balance.click()
    await page.getByText(/^uneven-lora-2: finished$/).waitFor({ timeout: 60_000 })
    expect(await page.evaluate(storedSetting('uneven-lora-2', 'classWeights'))).toBe('balanced')
    await page.context().close()
  }, 120_000)

  it('reports how far it is in a large file from the beginning to the end, and stops at any time', async () => {
    const { page } = await opened(isolated.url)
    const rows = Array.from({ length: 500_000 }, (_, i) => `"a long and ""quoted"" review, number ${i}",${i % 2 === 0 ? 'good' : 'bad'}\n`)
    await writeFile(join(files.root, 'large.csv'), `text,label\n${rows.join('')}`)
    for (const shown of [/^Reading large\.csv: [1-4]?\d %$/, /^Reading large\.csv: [5-9]\d %$/]) {
      await page.setInputFiles('#data', join(files.root, 'large.csv'))
      await page.getByText(shown).waitFor({ timeout: 20_000 })
      await page.getByRole('button', { name: 'Cancel' }).click()
      await page.setInputFiles('#data', files.file)
      await page.getByText('reviews.csv: 60 rows.').waitFor()
    }
    const shown = page.evaluate<number[]>(`new Promise((done) => {
      const seen = []
      const summary = document.getElementById('summary')
      new MutationObserver(() => {
        const [, share] = /^Reading large.csv: (\\d+) %$/.exec(summary.querySelector('.reading')?.textContent ?? '') ?? []
        if (share !== undefined) seen.push(Number(share))
        if (summary.textContent.includes(' rows. ')) done(seen)
      }).observe(summary, { subtree: true, childList: true, characterData: true })
    })`)
    await page.setInputFiles('#data', join(files.root, 'large.csv'))
    const percents = await shown
    expect(percents).toEqual([...percents].sort((a, b) => a - b))
    expect(percents.filter((share) => share > 50 && share < 100).length).toBeGreaterThan(1)
    expect(percents.at(-1)).toBe(100)
    await page.context().close()
  }, 60_000)

  it('refuses in one line what it cannot train, before it loads it, and says that it has one thread without the headers', async () => {
    const { page } = await opened(plain.url)
    expect(await page.getByText('1 thread', { exact: true }).getAttribute('title')).toContain('COOP and COEP')
    await page.getByText('no WebGPU').waitFor()
    expect(await page.locator('#device option:disabled').textContent()).toBe('graphics card (WebGPU)')
    await page.setInputFiles('#data', { name: 'other.csv', mimeType: 'text/csv', buffer: Buffer.from('text\na\nc\n') })
    await errorLine(page, /^data\/other\.csv, row 1: expected a column "label"/)
    const train = page.getByRole('button', { name: /^Train/ })
    expect(await train.isDisabled()).toBe(true)
    await page.setInputFiles('#data', files.file)
    await page.getByText('reviews.csv: 60 rows.').waitFor()

    await page.locator('#settings summary').click()
    await page.getByLabel('Another model of the hub').check()
    await page.getByLabel('Hub id').fill('no id')
    await train.click()
    await errorLine(page, /^model: expected OWNER\/NAME of the hub, got "no id"$/)

    const folder = join(files.root, 'chosen')
    await mkdir(folder)
    await writeFile(join(folder, 'model.safetensors'), '')
    await page.getByLabel('A folder of this computer').check()
    await page.setInputFiles('#folder', folder)
    await train.click()
    await errorLine(page, /^chosen: expected config\.json in the folder, got none$/)

    await writeFile(join(folder, 'config.json'), '{}')
    await truncate(join(folder, 'model.safetensors'), 2e9)
    await page.setInputFiles('#folder', folder)
    await train.click()
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
    await page.locator('#settings summary').click()
    await page.selectOption('#device', 'cpu') // a resumed run shows its own
    await train.click()
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
    await page.locator('#settings summary').click()
    await page.selectOption('#method', 'lora')
    await page.fill('#epochs', '1')
    await page.fill('#maxLength', '16')
    await page.getByLabel('Another model of the hub').check()
    const id = page.getByLabel('Hub id')
    await id.fill('owner/none')
    await id.press('Tab')
    await errorLine(page, /^owner\/none: expected a public model, got status 401: it does not exist, or it needs an account$/)
    await id.fill('owner/tiny')
    await id.press('Tab')
    await page.getByText(/^roberta, \d\.\d MB to download$/).waitFor()
    expect(await page.getByRole('alert').isVisible()).toBe(false)
    await page.getByRole('button', { name: /^Train/ }).click()
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
