/** The report in Chromium: it fetches nothing, logs nothing, works by keyboard and on a phone, and stays fast with many runs. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, BrowserContextOptions } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeReport } from '../../reporting/report/makeReport.js'
import { ranksOf, writeRun } from '../property/reporting/reportRuns.js'
import { hasChromium, launchChromium, openPage, type OpenedPage, longestFrame, accessibilityProblems } from '../support/chromium.js'

let [root, file] = ['', '']
let browser: Browser | null = null
beforeAll(async () => {
  if (!hasChromium) return
  root = await mkdtemp(join(tmpdir(), 'salora-browser-'))
  file = join(root, 'page.html')
  const hostile = '<b id=injected>bold</b><script>document.title = "run"</script>'
  for (const seed of [0, 1]) {
    await writeRun(join(root, 'runs', `salora-${seed}`), { seed, ranks: ranksOf(1, 2, 3, seed), accuracy: 0.7123456789 + 0.1 * seed })
    await writeRun(join(root, 'runs', `hostile-${seed}`), { method: 'lora', seed, task: hostile.replaceAll('/', '∕') })
  }
  await makeReport({ folders: [join(root, 'runs')], output: file, figures: null })
  browser = await launchChromium()
}, 120_000)
afterAll(async () => {
  await browser?.close()
  if (root !== '') await rm(root, { recursive: true })
})

/** An open page, with everything that it logged or requested. */
const opened = (url: string, options: BrowserContextOptions): Promise<OpenedPage> =>
  openPage(browser, url, options, (request) => (request.url() !== url && !/^(data|blob):/.test(request.url()) ? [request.url()] : []))

describe.skipIf(!hasChromium)('a report in Chromium (skipped without Chromium)', () => {
  const url = (): string => pathToFileURL(file).href

  it('logs nothing, requests nothing, and shows a hostile name as text', async () => {
    const { page, errors } = await opened(url(), { viewport: { width: 1200, height: 800 } })
    expect(errors).toEqual([])
    expect(await page.locator('#injected').count()).toBe(0)
    expect(await page.title()).toBe('salora: runs')
    expect(await page.locator('figcaption').allTextContents()).toContain('<b id=injected>bold<∕b><script>document.title = "run"<∕script>')
    await page.context().close()
  })

  it('copies the numbers of result.json by keyboard', async () => {
    const { page, errors } = await opened(url(), { permissions: ['clipboard-read', 'clipboard-write'] })
    const focused = (): Promise<string | null> => page.evaluate('document.activeElement.getAttribute("aria-label")')
    for (let pressed = 0; pressed < 90 && (await focused()) !== 'Copy as CSV: Scores and costs'; pressed++) await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByText('Copied').waitFor()
    const copied = await page.evaluate<string>('navigator.clipboard.readText()')
    const { last } = JSON.parse(await readFile(join(root, 'runs/salora-0/result.json'), 'utf8')) as {
      readonly last: { readonly scores: { readonly accuracy: number } }
    }
    const [, line = ''] = /^mrpc,salora,2,accuracy,[\d.]+,([\d.]+),/m.exec(copied) ?? []
    expect(Number(line)).toBeCloseTo(last.scores.accuracy + 0.05, 14)
    // a folded table opens by keyboard too
    const summary = page.locator('#loss summary').first()
    await summary.focus()
    await page.keyboard.press('Enter')
    expect(await page.locator('#loss table').isVisible()).toBe(true)
    expect(errors).toEqual([])
    await page.context().close()
  })

  it('saves a chart as SVG and PNG', async () => {
    const { page, errors } = await opened(url(), {})
    for (const [kind, start] of [
      ['svg', '<svg'],
      ['png', '\u0089PNG'],
    ] as const) {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page
          .getByRole('button', { name: `Save as ${kind.toUpperCase()}: mrpc`, exact: true })
          .first()
          .click(),
      ])
      expect(download.suggestedFilename()).toBe(`score-mrpc.${kind}`)
      expect((await readFile(await download.path())).toString('latin1').slice(0, start.length)).toBe(start)
    }
    expect(errors).toEqual([])
    await page.context().close()
  })

  it.each(['light', 'dark'] as const)('fits a phone of 320 pixels and is legible in %s mode', async (colorScheme) => {
    const { page } = await opened(url(), { viewport: { width: 320, height: 640 }, colorScheme })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(320)
    expect(await accessibilityProblems(page)).toEqual([])
    const sizes = await page.evaluate<readonly number[]>(`[...document.querySelectorAll('svg text')].map((text) => {
      const svg = text.closest('svg')
      return (Number.parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width) / svg.viewBox.baseVal.width
    })`)
    expect(Math.min(...sizes)).toBeGreaterThan(8) // pixels of a letter on the screen
    const [ground, text, label] = await page.evaluate<readonly string[]>(`[
      getComputedStyle(document.body).backgroundColor,
      getComputedStyle(document.body).color,
      getComputedStyle(document.querySelector('svg text')).fill,
    ]`)
    expect(label).toBe(text)
    expect(ground).toBe(colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(21, 23, 26)')
    await page.context().close()
  })

  it.each([320, 390, 768, 1280, 1920])('uses a width of %i pixels without sideways scrolling, and cuts no chart', async (width) => {
    const { page, errors } = await opened(url(), { viewport: { width, height: 800 } })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
    const boxes = await page.evaluate<
      readonly { readonly chart: number; readonly place: number; readonly left: number; readonly right: number }[]
    >(
      `[...document.querySelectorAll('.chart')].map((place) => {
        const [chart, inner] = [place.querySelector('svg').getBoundingClientRect(), place.getBoundingClientRect()]
        return { chart: chart.width, place: inner.width, left: inner.left, right: inner.right }
      })`,
    )
    expect(boxes.length).toBeGreaterThan(10)
    for (const { chart, place } of boxes) expect(Math.abs(chart - place)).toBeLessThan(1.5)
    const margins = [Math.min(...boxes.map(({ left }) => left)), width - Math.max(...boxes.map(({ right }) => right))]
    expect(Math.max(...margins)).toBeLessThan(Math.max(70, (width - 1480) / 2)) // the whole width has charts
    expect(errors).toEqual([])
    await page.context().close()
  })

  it('cuts nothing on paper, which is light: its widest and longest table is whole, and what is folded is open; what scrolls on a phone takes the focus', async () => {
    const ranks = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`encoder.layer.0.matrix${i}`, i]))
    for (let i = 0; i < 40; i++)
      await writeRun(join(root, 'paper', `a_run_with_a_long_name_${i}`), {
        ...{ seed: i, settings: { rank: 1 + i }, ranks, task: i % 2 === 0 ? 'mrpc' : 'customer-reviews-of-restaurants.csv' },
        result: {
          calibration: { rows: 5, errorBefore: 0.1, errorAfter: 0.05, temperature: 2 },
          finishedAt: `2026-11-28T01:02:${10 + i}.000Z`,
        },
      })
    await mkdir(join(root, 'paper', 'skipped'))
    await writeFile(join(root, 'paper', 'skipped', 'config.json'), '{}')
    const output = join(root, 'paper.html')
    await makeReport({ folders: [join(root, 'paper')], output, figures: null })
    const { page } = await opened(pathToFileURL(output).href, { viewport: { width: 718, height: 1047 }, colorScheme: 'dark' }) // A4 within its margins
    await page.emulateMedia({ media: 'print' })
    const cut = `[...document.querySelectorAll('body *')].filter((place) => {
      const [{ overflow, position }, { left, right, width }] = [getComputedStyle(place), place.getBoundingClientRect()]
      const isShown = width > 0 && place.checkVisibility() && !place.matches('svg, .unseen')
      const end = (place.closest('.card') ?? document.documentElement).getBoundingClientRect().right
      return isShown && (overflow !== 'visible' || ['sticky', 'fixed'].includes(position) || left < -1 || right > end + 1)
    }).map((place) => place.outerHTML.slice(0, 80))`
    expect(await page.evaluate(cut)).toEqual([])
    for (const place of ['#runs tbody tr', '#learning-rate svg', 'header li'])
      expect(await page.locator(place).last().isVisible(), place).toBe(true)
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)')
    await page.emulateMedia({ media: 'screen' })
    await page.setViewportSize({ width: 390, height: 800 })
    const unreachable = `[...document.querySelectorAll('*')].filter((place) => place.tabIndex < 0 && place.checkVisibility() && place.scrollWidth > place.clientWidth + 1 &&
      /auto|scroll/.test(getComputedStyle(place).overflowX)).map((place) => place.outerHTML.slice(0, 200))`
    await expect.poll(() => page.evaluate(unreachable), { message: 'what scrolls takes the focus' }).toEqual([]) // charts are drawn anew for the width
    await page.context().close()
  })

  it('smooths noisy curves by keyboard, keeps the raw ones, and shows the values under the pointer', async () => {
    const { page, errors } = await opened(url(), { viewport: { width: 1280, height: 800 } })
    const loss = page.locator('.chart[data-chart="loss-mrpc"]')
    await loss.scrollIntoViewIfNeeded()
    const strokes = (): Promise<number> => loss.locator('path[stroke-linejoin]').count()
    await expect.poll(strokes).toBe(2) // raw and smoothed
    await page.getByLabel('Smoothing').focus()
    await page.keyboard.press('Home')
    await expect.poll(strokes).toBe(1)
    await page.keyboard.press('End')
    await expect.poll(strokes).toBe(2)
    expect(await page.locator('.smoothing output').textContent()).toBe('0.98')
    await page.keyboard.press('Home')
    await loss.hover({ position: { x: 40, y: 100 } })
    expect(await loss.locator('.tooltip').locator('b, span').allTextContents()).toEqual(['step 1', '1'])
    expect(errors).toEqual([])
    await page.context().close()
  })

  it('a report with 500 runs opens and scrolls without delay', async () => {
    for (let i = 0; i < 500; i++)
      await writeRun(join(root, 'many', `run-${i}`), {
        seed: i % 5,
        method: i % 2 === 0 ? 'salora' : 'lora',
        settings: { learningRate: 1e-4 * (1 + Math.floor(i / 10)) },
        steps: 60,
        ranks: ranksOf(1, 2, 3, i % 5),
      })
    const output = join(root, 'many.html')
    expect((await makeReport({ folders: [join(root, 'many')], output, figures: null })).runs).toBe(500)
    const { page, errors } = await opened(pathToFileURL(output).href, { viewport: { width: 1200, height: 800 } })
    const loading = await page.evaluate<number>(`performance.getEntriesByType('navigation')[0].duration`)
    const longest = await longestFrame(page)
    process.stderr.write(
      `500 runs: ${(await readFile(output)).length} bytes, loaded in ${loading.toFixed(0)} ms, longest frame ${longest.toFixed(0)} ms\n`,
    )
    expect(loading).toBeLessThan(5000)
    expect(longest).toBeLessThan(1000)
    expect(errors).toEqual([])
    await page.context().close()
  }, 120_000)
})
