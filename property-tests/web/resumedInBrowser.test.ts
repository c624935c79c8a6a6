/** A run of SaLoRA in the page that is stopped among its gated steps, then resumed after a reload: as if it had not been stopped. */
import { readFile } from 'node:fs/promises'
import { unzipSync } from 'fflate'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { hasChromium } from '../support/chromium.js'
import { withServedPage } from './servedPage.js'

const site = withServedPage()

const choices = {
  method: 'salora',
  precision: 'float32',
  device: 'cpu',
  epochs: '20',
  batchSize: '4',
  maxLength: '16',
  learningRate: '0.003',
}
/** Clicks Stop after step 26 of 280: gates are sampled from step 6 to 42, and the first evaluation is after step 24. */
const stopAmongGates = `new Promise((done) => new MutationObserver((_, observer) => {
  if (!document.getElementById('numbers').textContent.includes('26 / 280')) return
  observer.disconnect()
  document.getElementById('stop').click()
  done()
}).observe(document.getElementById('numbers'), { subtree: true, childList: true }))`

const choose = async (page: Page): Promise<void> => {
  await page.setInputFiles('#data', site().files.file)
  await page.getByText('reviews.csv: 60 rows.').waitFor()
  await page.locator('#settings summary').click()
  for (const [id, value] of Object.entries(choices)) {
    if (['method', 'precision', 'device'].includes(id)) await page.selectOption(`#${id}`, value)
    else await page.fill(`#${id}`, value)
  }
  await page.locator('#balance').check()
}

const finished = (page: Page): Promise<void> =>
  page.getByText(/^Finished; the adapter is that of step \d+\.$/).waitFor({ timeout: 120_000 })

/** The drawn curves, by their captions. */
const charts = (page: Page): Promise<Readonly<Record<string, string>>> =>
  page.evaluate<Readonly<Record<string, string>>>(`new Promise((done) => setTimeout(done, 1000)).then(() => Object.fromEntries(
    [...document.querySelectorAll('#loss figure, #charts figure')].map((figure) =>
      [figure.querySelector('figcaption').textContent, figure.querySelector('svg').innerHTML])))`)

/** What the page says of a run that is finished. */
const outcome = async (page: Page) => ({
  charts: await charts(page),
  score: await page.textContent('#score'),
  verdict: await page.textContent('#verdict'),
  evaluations: (await page.locator('#messages li').allTextContents()).filter((line) => /^Step \d+: accuracy/.test(line)),
})

const adapter = async (page: Page): Promise<Uint8Array | undefined> => {
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#adapter').click()])
  return unzipSync(await readFile(await download.path()))['adapter_model.safetensors']
}

describe.skipIf(!hasChromium)('a run of SaLoRA in the page (skipped without Chromium)', () => {
  it('that is stopped, and resumed after a reload, ends with the curves, the scores and the bits of one that was not', async () => {
    const page = await (await site().browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage()
    await page.goto(site().server.url)
    await choose(page)
    await page.locator('#start').click()
    await finished(page)
    const [expected, bits] = [await outcome(page), await adapter(page)]
    expect(Object.keys(expected.charts).length).toBe(4) // loss, scores, density and ranks
    expect(expected.evaluations.length).toBeGreaterThan(5)

    await page.locator('#start').click()
    await page.evaluate(stopAmongGates)
    await page.getByText(/^reviews-salora-2: stopped after step 2[6-8]$/).waitFor()
    await page.reload()
    await page.locator('#settings summary').click()
    await page.getByLabel('Another model of the hub').check() // the form then shows the run's again
    await page.getByRole('button', { name: 'Resume reviews-salora-2' }).click()
    await page
      .locator('#numbers')
      .getByText(/^\d+ \/ 280$/)
      .waitFor({ timeout: 30_000 })
    expect(await page.textContent('#score')).toMatch(/^\d+\.\d %$/)
    for (const [id, value] of Object.entries(choices)) expect(await page.inputValue(`#${id}`), id).toBe(value)
    expect([await page.isChecked('#balance'), await page.isChecked('input[value=embedded]')]).toEqual([true, true])
    await finished(page)
    expect(await outcome(page)).toEqual(expected)
    expect(await adapter(page)).toEqual(bits)
    await page.context().close()
  }, 240_000)
})
