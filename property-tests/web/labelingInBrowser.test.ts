/** The card in which a visitor labels texts by hand, in Chromium: which text it asks for, what it keeps, and how its labels are trained on. */
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { openEncoder } from '../../finetuning/use/zeroShot.js'
import { accessibilityProblems, hasChromium } from '../support/chromium.js'
import { withServedPage } from './servedPage.js'

const site = withServedPage()

/** Embeddings by the CPU of Node. → [texts][hidden] */
const embed = async (texts: readonly string[]): Promise<readonly (readonly number[])[]> => {
  const machine = { precision: 'float32', threads: 1, batchSize: 8, maxLength: 64 } as const
  const encoder = await openEncoder(await openModelFolder(embeddedModel), machine, await chooseDevice('cpu'))
  return encoder.predict(texts.map((text) => ({ text }))).finally(encoder.release) as Promise<readonly (readonly number[])[]>
}

/** p(good) of each row by a logistic regression with C = 10 on centered rows of norm 1 in the mean, by plain gradient descent. */
const probe = (features: readonly (readonly number[])[], labeled: readonly { readonly at: number; readonly good: boolean }[]) => {
  const rows = labeled.map(({ at }) => features[at] ?? [])
  const width = rows[0]?.length ?? 0
  const mean = Array.from({ length: width }, (_, j) => rows.reduce((sum, row) => sum + (row[j] ?? 0), 0) / rows.length)
  const center = (row: readonly number[]): number[] => row.map((x, j) => x - (mean[j] ?? 0))
  const scale = Math.sqrt(rows.reduce((sum, row) => sum + center(row).reduce((s, x) => s + x * x, 0), 0) / rows.length)
  const toX = (row: readonly number[]): number[] => [...center(row).map((x) => x / scale), 1]
  // two opposite rows of weights, ±v: the penalty of both is |v|², and z is their difference, 2 v x
  const v = new Float64Array(width + 1)
  const logit = (x: readonly number[]): number => 2 * x.reduce((sum, xj, j) => sum + xj * (v[j] ?? 0), 0)
  const data = labeled.map(({ at, good }) => ({ x: toX(features[at] ?? []), good }))
  for (let step = 0; step < 20_000; step++) {
    const slope = v.map((weight, j) => (j < width ? 2 * weight : 0))
    for (const { x, good } of data) {
      const error = 1 / (1 + Math.exp(-logit(x))) - Number(good)
      x.forEach((xj, j) => (slope[j] = (slope[j] ?? 0) + 20 * error * xj))
    }
    slope.forEach((g, j) => (v[j] = (v[j] ?? 0) - g / (40 * data.length)))
  }
  return features.map((row) => 1 / (1 + Math.exp(-logit(toX(row)))))
}

const shownText = async (page: Page): Promise<string> => (await page.textContent('#label-text')) ?? ''

/** Presses a key and waits until the card says how many labels there are. */
const press = async (page: Page, key: string, labels: number): Promise<void> => {
  await page.keyboard.press(key)
  await page.getByText(new RegExp(`^${labels} of \\d+ texts labeled`)).waitFor({ timeout: 20_000 })
}

const open = async (page: Page, csv: string): Promise<void> => {
  await page.getByText('0 bytes sent').waitFor()
  await page.setInputFiles('#data', { name: 'open.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) })
  await page.getByRole('button', { name: 'Start labeling' }).waitFor()
}

describe.skipIf(!hasChromium)('labels by hand in Chromium (skipped without Chromium)', () => {
  it('are asked for where the probe is least sure, given by keys, undone, kept over a reload, downloaded, and trained on', async () => {
    const rows = site()
      .files.csv.trim()
      .split('\n')
      .slice(1, 41)
      .map((line) => ({ text: (/^"(.*)",/.exec(line)?.[1] ?? '').replaceAll('""', '"'), good: line.endsWith('good') }))
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
    const csv = `text\n${rows.map(({ text }) => quoted(text)).join('\n')}\n`
    const features = await embed(rows.map(({ text }) => text))
    const context = await site().browser.newContext({ viewport: { width: 1280, height: 900 } })
    const page = await context.newPage()
    await page.goto(site().server.url)
    await open(page, csv)
    await page.getByRole('button', { name: 'Start labeling' }).click()
    await page.getByText('the classes: expected two to 9 different names of classes, got none').waitFor()
    await page.getByLabel('Classes, separated by commas').fill('good, bad')
    await page.getByRole('button', { name: 'Start labeling' }).click()
    await page.getByText('0 of 40 texts labeled.').waitFor({ timeout: 30_000 })

    const labeled: { readonly at: number; readonly good: boolean }[] = []
    let compared = 0
    const label = async (): Promise<void> => {
      const at = rows.findIndex(({ text }) => text === shown)
      const scores = probe(features, labeled)
      const isProbed = new Set(labeled.map(({ good }) => good)).size === 2 && labeled.length % 5 !== 4
      const doubts = scores.flatMap((p, i) => (labeled.some((one) => one.at === i) ? [] : [Math.abs(p - 0.5)]))
      if (isProbed) expect(Math.abs((scores[at] ?? NaN) - 0.5)).toBeLessThan(Math.min(...doubts) + 1e-3)
      compared += Number(isProbed)
      labeled.push({ at, good: rows[at]?.good === true })
      await press(page, rows[at]?.good === true ? '1' : '2', labeled.length)
    }
    let shown = await shownText(page)
    for (; labeled.length < 12; shown = await shownText(page)) await label()
    expect(compared).toBeGreaterThan(5)
    await press(page, 'u', 11)
    expect(await shownText(page)).toBe(rows[labeled.at(-1)?.at ?? -1]?.text)
    await press(page, labeled.at(-1)?.good === true ? '1' : '2', 12)
    await page.getByText(/^12 of 40 texts labeled\. Cross-validated on 10: \d+\.0 % right\.$/).waitFor()
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await accessibilityProblems(page), colorScheme).toEqual([])
    }
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 900 })
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    }

    await page.reload()
    await open(page, csv)
    await page.getByRole('button', { name: 'Start labeling' }).press('Enter')
    await page.getByText('12 of 40 texts labeled.').waitFor({ timeout: 30_000 })
    expect(labeled.some(({ at }) => rows[at]?.text === shown)).toBe(false)
    expect(await shownText(page)).toBe(shown)
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download labels (CSV)' }).click(),
    ])
    expect(download.suggestedFilename()).toBe('open.labels.csv')
    expect(await readFile(await download.path(), 'utf8')).toBe(
      `row,text,label\n${labeled.map(({ at, good }) => `${at + 2},${quoted(rows[at]?.text ?? '')},"${good ? 'good' : 'bad'}"\n`).join('')}`,
    )

    await page.getByRole('button', { name: 'Train on these' }).click()
    await page.getByText('open-labeled.csv: 12 rows.').waitFor()
    await page.locator('#settings summary').click()
    await page.selectOption('#method', 'lora')
    await page.fill('#epochs', '1')
    await page.getByRole('button', { name: /^Train:/ }).click()
    await page.getByText(/^Finished/).waitFor({ timeout: 60_000 })

    // after a run on other rows, its rows and classes teach the probe of more texts
    await page.setInputFiles('#data', site().files.file)
    await page.getByText('reviews.csv: 60 rows.').waitFor()
    expect(await page.locator('#labeling').isVisible()).toBe(false)
    await page.getByRole('button', { name: /^Train:/ }).click()
    await page.getByText('reviews-lora-1: finished').waitFor({ timeout: 60_000 })
    await page.setInputFiles('#label-file', {
      name: 'more.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from('text\nA fine place.\nA bad one.\n'),
    })
    await page.getByRole('button', { name: 'Start labeling' }).click()
    await page.getByText(/^0 of 2 texts labeled\. Cross-validated on 60: /).waitFor({ timeout: 30_000 })
    expect(await page.locator('#label-keys button').allTextContents()).toEqual(['1 bad', '2 good'])
    await context.close()
  }, 240_000)
})
