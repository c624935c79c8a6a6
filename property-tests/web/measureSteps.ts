/**
 * Prints the median time of a step in Chromium and in Node, in float32 and int8. It trains by LoRA on the embedded model, 8 × 32 tokens, with one
 * thread each. `npm run build && node dist/property-tests/web/measureSteps.js`.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { median } from 'simple-statistics'
import type { FinetuneEvent } from '../../finetuning/run/run.js'
import { launchChromium } from '../support/chromium.js'
import { inBrowser, inNode, pageAndData, served } from './browserRun.js'

const rounds = 3

/** Milliseconds of each step after the first five, by the clock of the side that takes it. */
const timesOf = (events: readonly FinetuneEvent[]): readonly number[] =>
  events.flatMap((event) => (event.kind === 'step' && event.step > 5 ? [(1000 * event.tokens) / event.tokensPerSecond] : []))

const files = await pageAndData()
const server = await served(files.page)
const browser = await launchChromium()
try {
  const page = await browser.newPage()
  await page.goto(server.url)
  for (let round = 1; round <= rounds; round++)
    for (const precision of ['float32', 'int8'] as const) {
      const settings = { method: 'lora', precision, maxSteps: 30, saveSteps: 1000, evalSteps: 1000 } as const
      const name = `${precision}-${round}`
      const there = median([...timesOf(await inBrowser(page, { name, csv: files.csv, settings }))])
      const here = median([...timesOf(await inNode(files.file, join(files.root, name), settings))])
      console.log(`${precision}: Chromium ${there.toFixed(1)} ms, Node ${here.toFixed(1)} ms, ratio ${(there / here).toFixed(2)}`)
    }
} finally {
  await browser.close()
  server.close()
  await rm(files.root, { recursive: true })
}
