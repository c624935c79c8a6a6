/**
 * Takes the pictures of the page that docs/how-to/browser.md shows, into docs/public: a run by SaLoRA on the sample, on a desk and on a phone.
 * `npm run build && node dist/property-tests/web/takePictures.js`.
 */
import { writeFile, rm } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { launchChromium } from '../support/chromium.js'
import { pageAndData, served } from './browserRun.js'

const [desk, phone] = [
  { width: 1280, height: 900 },
  { width: 390, height: 900 },
]
const missing = 'sentence-transformers/all-MiniLM-L7'

/** The pictures of one window: before a run, in its midst, at its end, and with an error. */
const picturesOf = async (browser: Browser, url: string, viewport: typeof desk): Promise<ReadonlyArray<Buffer>> => {
  const context = await browser.newContext({ viewport, serviceWorkers: 'block' })
  await context.route('https://huggingface.co/**', (route) =>
    route.fulfill({ status: 401, headers: { 'access-control-allow-origin': '*' } }),
  )
  const page = await context.newPage()
  const picture = (): Promise<Buffer> => page.screenshot({ fullPage: true })
  const open = async (): Promise<void> => {
    await page.goto(url)
    await page.getByText('This page uses').waitFor()
  }
  await open()
  await page.selectOption('#method', 'salora')
  const start = await picture()
  await page.getByRole('button', { name: /^Use the sample/ }).click()
  await page.getByText('600 rows').waitFor()
  await page.getByRole('button', { name: 'Start training' }).click()
  await page.getByText(/: step 161 of /).waitFor({ timeout: 300_000 })
  const midst = await picture()
  await page.getByText(/^Finished; /).waitFor({ timeout: 300_000 })
  await page.getByRole('button', { name: 'Predict' }).click()
  await page.locator('#predictions td').first().waitFor({ timeout: 30_000 })
  const end = await picture()
  await open()
  await page.getByLabel('A model of the Hugging Face hub').check()
  await page.getByLabel('Hub id').fill(missing)
  await page.getByLabel('Hub id').press('Tab')
  await page.getByRole('alert').filter({ hasText: missing }).waitFor({ timeout: 30_000 })
  const error = await picture()
  await context.close()
  return [start, midst, end, error]
}

/** Pictures beside each other, on grey. */
const besideEachOther = async (page: Page, pictures: ReadonlyArray<Buffer>): Promise<Buffer> => {
  const images = pictures.map((picture) => `<img src="data:image/png;base64,${picture.toString('base64')}" alt="">`)
  await page.setViewportSize({ width: pictures.length * (phone.width + 20) + 20, height: 900 })
  await page.setContent(
    `<body style="align-items:flex-start;background:#d0d3d8;display:flex;gap:20px;margin:0;padding:20px">${images.join('')}</body>`,
  )
  return page.screenshot({ fullPage: true })
}

const files = await pageAndData()
const server = await served(files.page)
const browser = await launchChromium()
try {
  const onDesk = await picturesOf(browser, server.url, desk)
  for (const [i, name] of ['browser-start', 'browser', 'browser-end', 'browser-error'].entries())
    await writeFile(`docs/public/${name}.png`, onDesk[i] ?? '')
  const onPhone = await picturesOf(browser, server.url, phone)
  await writeFile('docs/public/browser-phone.png', await besideEachOther(await browser.newPage(), onPhone))
} finally {
  await browser.close()
  server.close()
  await rm(files.root, { recursive: true })
}
