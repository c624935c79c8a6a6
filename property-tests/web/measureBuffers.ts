/**
 * Prints the buffers that runs of 300 steps hold on the graphics card of Chromium, by step: `npm run build`, then
 * `node dist/property-tests/web/measureBuffers.js`. The card is a program on the processor, and the model is tiny.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { launchChromium, softwareCard } from '../support/chromium.js'
import { inBrowser, pageAndData, runSettings, served, tinyModelFiles } from './browserRun.js'
import { watched, watchPage } from './watchedPage.js'

const settings = { ...runSettings, device: 'webgpu', maxSteps: 300, batchSize: 4, maxLength: 12, saveSteps: 25, evalSteps: 100 } as const
const shown = [10, 50, 100, 150, 200, 250, 300]

const files = await pageAndData()
const browser = await launchChromium(...softwareCard, '--js-flags=--expose-gc')
const server = await served(files.page)
try {
  await watchPage(files.page, {})
  const modelFiles = await tinyModelFiles(join(files.root, 'tiny'))
  for (const method of process.argv.slice(2).length > 0 ? process.argv.slice(2) : ['lora', 'salora']) {
    const page = await browser.newPage()
    const { held, listen } = watched()
    page.on('console', listen)
    await page.goto(server.url)
    const events = await inBrowser(page, { name: method, csv: files.csv, modelFiles, settings: { ...settings, method } })
    for (const event of events)
      if (event.kind === 'phase' || event.kind === 'evaluation') console.log(`${method}: ${event.kind} after step ${event.step}`)
    for (const step of shown) {
      const { buffers = NaN, bytes = NaN } = held.get(step) ?? {}
      console.log(`${method}, step ${step}: ${buffers} buffers, ${bytes} bytes`)
    }
    await page.close()
  }
} finally {
  await browser.close()
  server.close()
  await rm(files.root, { recursive: true })
}
