/**
 * Writes the pictures of the page that trains, docs/public/browser*.png, on a desk and on a phone: its start, a run, its end and an error.
 * `npm run build && node dist/property-tests/web/writePictures.js`. The hub is not asked: its answer is made here.
 */
import { rm, writeFile } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { launchChromium } from '../support/chromium.js'
import { pageAndData, served } from './browserRun.js'

const states = ['start', 'run', 'end', 'error'] as const
type State = (typeof states)[number]
type Pictures = Readonly<Record<State, Buffer>>

const shot = (page: Page): Promise<Buffer> => page.screenshot({ fullPage: true })

/** All states of one visit, in their order. */
const visit = async (browser: Browser, url: string, width: number): Promise<Pictures> => {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: 'light' })
  await context.route('https://huggingface.co/**', (route) =>
    route.fulfill({ status: 401, headers: { 'access-control-allow-origin': '*' } }),
  )
  const page = await context.newPage()
  await page.goto(url)
  await page.getByText('works offline').waitFor()
  const start = await shot(page)
  await page.getByRole('button', { name: 'Reviews' }).click()
  await page.getByText('1,644 rows').waitFor()
  await page.locator('#start').click()
  await page.getByText(/step 1[67]\d of/).waitFor({ timeout: 300_000 })
  const run = await shot(page)
  await page.getByText(/^Finished; the adapter is that of step/).waitFor({ timeout: 300_000 })
  const end = await shot(page)
  await page.reload()
  await page.getByText('works offline').waitFor()
  await page.locator('#settings summary').click()
  await page.getByLabel('Another model of the hub').check()
  await page.getByLabel('Hub id').fill('sentence-transformers/all-MiniLM-L7')
  await page.getByLabel('Hub id').press('Tab')
  await page.getByRole('alert').waitFor()
  const error = await shot(page)
  await context.close()
  return { start, run, end, error }
}

/** Pictures beside each other, from their tops. */
const beside = async (browser: Browser, pictures: Pictures): Promise<Buffer> => {
  const page = await (await browser.newContext({ viewport: { width: 4 * 390 + 5 * 20, height: 900 } })).newPage()
  const images = states.map((state) => `<img src="data:image/png;base64,${pictures[state].toString('base64')}">`)
  await page.setContent(`<body style="display:flex;align-items:start;gap:20px;margin:20px;background:#d0d3d8">${images.join('')}</body>`)
  const picture = await shot(page)
  await page.context().close()
  return picture
}

const files = await pageAndData()
const server = await served(files.page)
const browser = await launchChromium()
try {
  const desk = await visit(browser, server.url, 1280)
  const write = (name: string, picture: Buffer): Promise<void> => writeFile(`docs/public/${name}.png`, picture)
  await write('browser', desk.run)
  for (const state of ['start', 'end', 'error'] as const) await write(`browser-${state}`, desk[state])
  await write('browser-phone', await beside(browser, await visit(browser, server.url, 390)))
} finally {
  await browser.close()
  server.close()
  await rm(files.root, { recursive: true })
}
