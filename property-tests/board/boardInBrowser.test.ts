/**
 * The board in Chromium: it shows the numbers of the files, logs nothing, and works by keyboard and on a phone.
 * It survives a lost connection, and stays fast with 500 runs beside one of 100,000 steps.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBoard, type Board } from '../../reporting/board/server.js'
import { program } from '../cli/spawnSalora.js'
import { toyFolder, toyTrain } from '../cli/toyFolder.js'
import { ranksOf, writeRun } from '../property/reporting/reportRuns.js'
import { hasChromium, launchChromium, openPage, type OpenedPage, longestFrame, accessibilityProblems } from '../support/chromium.js'
import { killedAfterEach } from '../support/childProcesses.js'

const cwd = toyFolder('board-browser')
const at = (...path: readonly string[]): string => join(cwd, ...path)
const hostile = '<b id=injected onclick=alert(1)>bold</b><script>document.title = "run"<∕script>'.replaceAll('/', '∕')

let browser: Browser | null = null
let board: Board
const tracked = killedAfterEach()
beforeAll(async () => {
  if (!hasChromium) return
  for (const seed of [0, 1])
    await writeRun(at('runs', `salora-${seed}`), { seed, ranks: ranksOf(1, 2, 3, seed), accuracy: 0.7123456789 + 0.1 * seed, steps: 40 })
  await writeRun(at('runs', hostile), { task: hostile, method: 'lora' })
  const byClass = [hostile, 'good'].map((label) => ({ label, precision: 0.5, recall: 0.5, f1: 0.5, examples: 2 }))
  await writeFile(
    at('runs', hostile, 'evaluation.json'),
    JSON.stringify({
      step: 4,
      byClass,
      confusion: [
        [17, 2],
        [3, 18],
      ],
      errors: [{ row: 3, label: 'good', predicted: hostile, loss: 2.5, text: hostile }],
    }),
  )
  board = await startBoard({ folder: at('runs'), port: 0 })
  browser = await launchChromium()
}, 120_000)
afterAll(async () => {
  await browser?.close()
  if (hasChromium) await board.close()
})

/** A page of the board, with everything that it logged, requested from others, or leaked of the token. */
const opened = async (url: string, options: BrowserContextOptions): Promise<OpenedPage> => {
  const { origin } = new URL(url)
  const one = await openPage(browser, url, options, (request) => [
    ...(new URL(request.url()).origin !== origin || /token=|[0-9a-f]{64}/.test(new URL(request.url()).search) ? [request.url()] : []),
    ...(/[0-9a-f]{64}/.test(request.headers()['referer'] ?? '') ? ['the token as referer'] : []),
  ])
  await one.page.locator('#status', { hasText: /^live$/ }).waitFor()
  return one
}
const desktop = { viewport: { width: 1280, height: 900 } }
const lineOf = (page: Page, name: string) => page.locator('table.list tr', { has: page.getByRole('link', { name, exact: true }) })

describe.skipIf(!hasChromium)('the board in Chromium (skipped without Chromium)', () => {
  it('shows the numbers of the files and a hostile name as text, logs nothing, and removes the token from the URL', async () => {
    const { page, errors } = await opened(board.url, desktop)
    expect(page.url()).toBe(`http://127.0.0.1:${board.port}/#/`)
    for (const seed of [0, 1]) {
      const { last } = JSON.parse(await readFile(at('runs', `salora-${seed}`, 'result.json'), 'utf8')) as {
        readonly last: { readonly scores: { readonly accuracy: number } }
      }
      const cells = lineOf(page, `salora-${seed}`).locator('td')
      await cells.nth(6).waitFor()
      expect(await cells.allTextContents()).toEqual([
        '',
        `salora-${seed}mrpc, salora`,
        'finished',
        '40 of 40',
        '',
        '0.025',
        `accuracy ${(100 * last.scores.accuracy).toFixed(1)} %`,
        '',
      ])
      expect(await cells.nth(6).getAttribute('title')).toBe(String(last.scores.accuracy))
    }
    expect(await page.locator('th:empty').count()).toBe(0)
    expect(await page.getByRole('link', { name: hostile, exact: true }).count()).toBe(1)
    await page.getByRole('link', { name: hostile, exact: true }).click()
    await page.locator('figure svg').first().waitFor()
    expect(await page.getByRole('heading', { name: hostile, exact: true }).count()).toBe(1)
    expect(await page.locator('figcaption').first().textContent()).toBe(hostile)
    expect(await page.locator('#confusion svg text').allTextContents()).toEqual(
      expect.arrayContaining(['label', 'prediction', 'good', '17', '2', '3', '18']),
    )
    expect(await page.locator('#classes tbody tr').first().locator('td').allTextContents()).toEqual([
      hostile,
      '50.0 %',
      '50.0 %',
      '50.0 %',
      '2',
    ])
    expect(await page.locator('#errors tbody td').allTextContents()).toEqual(['3', '2.5', 'good', hostile, hostile])
    expect(await page.locator('#scores, #runs').count()).toBe(2)
    expect(await page.locator('#injected, main script').count()).toBe(0)
    await page.getByLabel('Try a sentence').fill('a good film')
    await page.keyboard.press('Enter')
    await page.locator('.answer', { hasText: 'expected a run with an adapter, got one without' }).waitFor()
    expect(errors).toEqual([expect.stringContaining('409')]) // the browser's own line about the refused sentence
    await page.context().close()
  })

  it('works by keyboard: runs are filtered, sorted, selected and compared, with the settings in which they differ', async () => {
    const { page, errors } = await opened(board.url, desktop)
    await lineOf(page, 'salora-1').waitFor()
    await page.getByLabel('Filter by words').focus()
    await page.keyboard.type('mrpc salora')
    expect(await page.locator('table.list tbody tr').count()).toBe(2)
    const focused = (): Promise<string | null> =>
      page.evaluate('document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent')
    const tabTo = async (name: string): Promise<void> => {
      for (let pressed = 0; pressed < 40 && (await focused()) !== name; pressed++) await page.keyboard.press('Tab')
      expect(await focused()).toBe(name)
    }
    await tabTo('score')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Enter')
    expect(await page.locator('table.list tbody tr a').allTextContents()).toEqual(['salora-1', 'salora-0'])
    for (const name of ['salora-1', 'salora-0']) {
      await tabTo(`compare ${name}`)
      await page.keyboard.press('Space')
    }
    await page.getByRole('button', { name: 'Compare 2 runs' }).focus()
    await page.keyboard.press('Enter')
    await page.locator('#loss svg').waitFor()
    const differing = page.getByRole('region', { name: 'Settings that differ' })
    expect(await differing.locator('tr').allTextContents()).toEqual(['settingsalora-1salora-0', 'seed10'])
    expect(await page.locator('#loss [role=img]').getAttribute('aria-label')).toBe(
      'Training loss, mrpc: task loss over steps. salora-1: from 1 at step 1 to 0.025 at step 40. salora-0: from 1 at step 1 to 0.025 at step 40.',
    )
    const numbers = page.locator('#loss > details')
    await numbers.getByText('Numbers', { exact: true }).focus()
    await page.keyboard.press('Enter')
    const cells = page.getByRole('region', { name: 'Training loss', exact: true }).locator('tbody tr')
    await expect.poll(() => cells.count()).toBe(80)
    expect(await cells.nth(2).locator('td').allTextContents()).toEqual([
      'mrpc',
      'salora-1',
      '1',
      '3',
      '3',
      '0.333333',
      '0.333333',
      '0.333333',
    ])
    await numbers.getByText('CSV', { exact: true }).click()
    const [head, , , third] = (await numbers.getByLabel('CSV: Training loss', { exact: true }).inputValue()).split('\n')
    expect(head).toBe('task,series,runs,first step,last step,mean,min,max')
    expect(third).toBe(`mrpc,salora-1,1,3,3,${1 / 3},${1 / 3},${1 / 3}`)
    expect(errors).toEqual([])
    await page.context().close()
  })

  it.each(['light', 'dark'] as const)('fits a phone of 320 pixels in each view and is legible in %s mode', async (colorScheme) => {
    const { page, errors } = await opened(board.url, { viewport: { width: 320, height: 640 }, colorScheme })
    await lineOf(page, 'salora-0').waitFor()
    const width = (): Promise<number> => page.evaluate('document.documentElement.scrollWidth')
    expect(await width()).toBe(320)
    expect(await accessibilityProblems(page)).toEqual([])
    await page.getByLabel('compare salora-0').check()
    await page.getByLabel('compare salora-1').check()
    await page.getByRole('button', { name: 'Compare 2 runs' }).click()
    await page.locator('figure svg').first().waitFor()
    expect(await width()).toBe(320)
    expect(await accessibilityProblems(page)).toEqual([])
    await page.getByRole('link', { name: 'salora-0', exact: true }).click()
    await page.getByRole('heading', { name: 'salora-0', exact: true }).waitFor() // the comparison has a figure of the same name
    await page.locator('#score svg text').first().waitFor()
    await page.locator('#score summary', { hasText: 'Numbers' }).click()
    await page.locator('#score table').waitFor()
    expect(await width()).toBe(320)
    expect(await accessibilityProblems(page)).toEqual([])
    const [ground, text, label] = await page.evaluate<readonly string[]>(`[
      getComputedStyle(document.body).backgroundColor,
      getComputedStyle(document.body).color,
      getComputedStyle(document.querySelector('#score svg text')).fill,
    ]`)
    expect([label, ground]).toEqual([text, colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(21, 23, 26)'])
    expect(errors).toEqual([])
    await page.context().close()
  })

  it('shows a new run and its growing curves, and stops it by keyboard after a confirmation', async () => {
    const { page, errors } = await opened(board.url, desktop)
    const args = [
      ...toyTrain,
      ...['--batch-size', '4', '--threads', '1', '--max-steps', '100000', '--eval-steps', '100', '--output', 'runs/live'],
    ]
    const child = tracked(spawn(process.execPath, [program, ...args, '--quiet'], { cwd, stdio: 'ignore' }))
    await page.getByRole('link', { name: 'live', exact: true }).click({ timeout: 60_000 })
    const image = page.locator('#loss [role=img]')
    const lastStep = async (): Promise<number> => Number(/at step (\d+)\.$/.exec((await image.getAttribute('aria-label')) ?? '')?.[1])
    await image.waitFor()
    await page.locator('#loss summary', { hasText: 'Numbers' }).click()
    const lastNumber = async (): Promise<number> =>
      Number((await page.locator('#loss tbody tr').last().locator('td').nth(4).textContent())?.replaceAll(',', ''))
    const before = await lastStep()
    expect(await lastNumber()).toBeGreaterThanOrEqual(before)
    await expect.poll(lastStep).toBeGreaterThan(before)
    await expect.poll(lastNumber).toBeGreaterThan(before)
    if (process.platform === 'linux') {
      const stop = page.getByRole('button', { name: 'Stop this run …' })
      await stop.focus()
      await page.keyboard.press('Enter')
      await page.keyboard.press('Escape') // not yet
      expect(await page.locator('dialog').isVisible()).toBe(false)
      await stop.focus()
      await page.keyboard.press('Enter')
      const exited = once(child, 'exit')
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      await page.getByText(/^Stopping\. Process \d+ finishes the current step and saves/).waitFor()
      expect((await exited)[0]).toBe(129)
      await page.getByText('interrupted', { exact: true }).waitFor()
      await page.getByText(`salora train --resume --output ${at('runs/live')}`, { exact: true }).waitFor()
      expect(await stop.isVisible()).toBe(false)
    }
    expect(errors).toEqual([])
    await page.context().close()
  })

  it('reports a lost connection, reconnects through a tunnel, and reports the token of another board', async () => {
    const sockets = new Set<Socket>()
    const target = { port: board.port }
    const tunnel = createServer((socket) => {
      const other = connect(target.port, '127.0.0.1')
      for (const [from, to] of [
        [socket, other],
        [other, socket],
      ] as const) {
        sockets.add(from)
        from.pipe(to)
        from.on('error', () => to.destroy())
        from.on('close', () => sockets.delete(from))
      }
    })
    const listen = (port: number): Promise<void> => new Promise((resolve) => tunnel.listen(port, '127.0.0.1', resolve))
    const cut = async (): Promise<void> => {
      const closed = new Promise((resolve) => tunnel.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    }
    await listen(0)
    const address = tunnel.address()
    const port = typeof address === 'object' && address !== null ? address.port : NaN
    const { page } = await opened(board.url.replace(`:${board.port}/`, `:${port}/`), desktop)
    await lineOf(page, 'salora-0').waitFor()
    await cut()
    await page.getByText('The connection to the board is lost. Retrying. The page shows the last known state.').waitFor()
    expect(await lineOf(page, 'salora-0').count()).toBe(1)
    await listen(port)
    await page.locator('#status', { hasText: /^live$/ }).waitFor()
    const other = await startBoard({ folder: at('runs'), port: 0 })
    await cut()
    target.port = other.port
    await listen(port)
    await page.getByText(/^The token is missing or no longer valid\. Open the URL/).waitFor()
    await page.evaluate(`location.href = ${JSON.stringify(other.url.replace(`:${other.port}/`, `:${port}/`))}`)
    await page.locator('#status', { hasText: /^live$/ }).waitFor()
    await page.context().close()
    await cut()
    await other.close()
  }, 120_000)

  it('the board opens and scrolls without delay with 500 runs, one of 100,000 steps and a growing one', async () => {
    await Promise.all(
      Array.from({ length: 500 }, (_, i) =>
        writeRun(at('many/all', `run-${i}`), {
          seed: i % 5,
          method: i % 2 === 0 ? 'salora' : 'lora',
          steps: 60,
          ranks: ranksOf(1, 2, 3, i % 5),
        }),
      ),
    )
    await writeRun(at('many/long'), { steps: 100_000, lossAt: (step) => (step === 54_321 ? 99 : 1 / step) })
    await writeRun(at('many/grows'), { steps: 1 })
    await rm(at('many/grows/result.json'))
    const lock = { host: 'elsewhere', boot: 'another', numbers: 'pid:[1]', pid: 5, born: '1', thread: 1 }
    await writeFile(at('many/grows/lock-0123456789ab.json'), JSON.stringify(lock))
    const many = await startBoard({ folder: at('many'), port: 0 })
    const began = performance.now()
    const { page, errors } = await opened(many.url, desktop)
    await page.getByRole('heading', { name: 'Runs: 1 running, 501 finished' }).waitFor({ timeout: 60_000 })
    const loaded = performance.now() - began
    let step = 1
    const growing = setInterval(() => {
      step += 10
      void appendFile(
        at('many/grows/metrics.jsonl'),
        `${JSON.stringify({ kind: 'step', step, taskLoss: 1 / step, tokens: 10, tokensPerSecond: 100 })}\n`,
      )
    }, 100)
    // while events arrive
    const longest = await longestFrame(page)
    await expect
      .poll(async () => Number((await lineOf(page, 'grows').locator('td').nth(3).textContent())?.split(' ')[0]?.replaceAll(',', '')))
      .toBeGreaterThan(1)
    clearInterval(growing)
    await page.getByRole('link', { name: 'long', exact: true }).click()
    const drawing = performance.now()
    await page.locator('#loss svg').waitFor({ timeout: 60_000 })
    process.stderr.write(
      `502 runs: listed after ${loaded.toFixed(0)} ms, longest frame ${longest.toFixed(0)} ms; 100,000 steps drawn after ${(performance.now() - drawing).toFixed(0)} ms\n`,
    )
    expect(loaded).toBeLessThan(20_000)
    expect(longest).toBeLessThan(1_000)
    expect(errors).toEqual([])
    await page.context().close()
    await many.close()
  }, 180_000)
})
