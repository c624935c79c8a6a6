/** The page as one file, opened from a disk with the network off: it trains, saves itself with the model inside, and the saved page answers. */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildSinglePage } from '../../scripts/webPage.js'
import { hasChromium, launchChromium } from '../support/chromium.js'

let browser: Browser | null = null
let folder = ''
beforeAll(async () => {
  if (!hasChromium) return
  folder = await mkdtemp(join(tmpdir(), 'salora-one-'))
  await buildSinglePage(join(folder, 'salora.html'))
  browser = await launchChromium()
}, 120_000)
afterAll(async () => {
  await browser?.close()
  if (folder !== '') await rm(folder, { recursive: true })
})

/** A browser without a network, in which each request to one is an error. */
const openOffline = async (): Promise<{ readonly context: BrowserContext; readonly requests: string[] }> => {
  if (browser === null) throw new Error('expected a browser, got none')
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  await context.setOffline(true)
  const requests: string[] = []
  context.on('request', (request) => requests.push(...(/^https?:/.test(request.url()) ? [request.url()] : [])))
  return { context, requests }
}

const answerTo = async (page: Page, text: string): Promise<string> => {
  await page.getByLabel('Sentence 1').fill(text)
  const answer = page.locator('#sentences output').first()
  await expect.poll(() => answer.textContent(), { timeout: 60_000 }).not.toBe('')
  return (await answer.textContent()) ?? ''
}

describe.skipIf(!hasChromium)('the page in one file (skipped without Chromium)', () => {
  it('trains from file:// without a network, and saves itself with the model inside', async () => {
    const { context, requests } = await openOffline()
    const page = await context.newPage()
    const errors: string[] = []
    page.on('pageerror', ({ message }) => errors.push(message))
    await page.goto(pathToFileURL(join(folder, 'salora.html')).href)
    await page.getByText('works offline').waitFor()
    const rows = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? `a good film ${i},up\n` : `a bad film ${i},down\n`)).join('')
    await page.setInputFiles('#data', { name: 'films.csv', mimeType: 'text/csv', buffer: Buffer.from(`text,label\n${rows}`) })
    await page.getByText('films.csv: 40 rows.').waitFor()
    await page.locator('#settings summary').click()
    await page.fill('#epochs', '6')
    await page.fill('#learningRate', '0.002')
    await page.getByRole('button', { name: /^Train/ }).click()
    await page.getByText(/^Finished; the adapter is that of step \d+\.$/).waitFor({ timeout: 240_000 })
    const text = 'a good film, a good film'
    const answer = await answerTo(page, text)
    expect(answer).toMatch(/^up \d+ %$/)
    const [download] = await Promise.all([
      page.waitForEvent('download', { timeout: 60_000 }),
      page.getByRole('button', { name: 'This page, with the model inside' }).click(),
    ])
    expect(download.suggestedFilename()).toBe('films-lora-1.html')
    const saved = join(folder, 'films-lora-1.html')
    await download.saveAs(saved)
    const grown = (await stat(saved)).size - (await stat(join(folder, 'salora.html'))).size
    expect(grown).toBeGreaterThan(10_000)
    expect(grown).toBeLessThan(5e6)
    await context.close()

    const colleague = await openOffline()
    const again = await colleague.context.newPage()
    again.on('pageerror', ({ message }) => errors.push(message))
    await again.goto(pathToFileURL(saved).href)
    await again.getByText('films-lora-1 answers: type a sentence.').waitFor({ timeout: 60_000 })
    expect(await answerTo(again, text)).toBe(answer)
    expect(await again.textContent('#runs')).toContain('films-lora-1: finished')
    expect([errors, requests, colleague.requests]).toEqual([[], [], []])
    await colleague.context.close()
  }, 300_000)

  it('has no element that loads from elsewhere', async () => {
    const html = await readFile(join(folder, 'salora.html'), 'utf8')
    const markup = html.replaceAll(/(<script[^>]*>)[\s\S]*?<\/script>/g, '$1').replaceAll(/<style>[\s\S]*?<\/style>/g, '')
    expect(markup.match(/(src|href)="(?!data:)[^"]*"/g)).toBeNull()
  })
})
