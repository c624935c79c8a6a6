/** The programs in examples/: each is built, run and used as its comment says. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { salora } from '../cli/spawnSalora.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile } from '../cli/toyTask.js'
import { hasChromium, launchChromium, openPage } from '../support/chromium.js'

let folder = ''
const servers: ChildProcess[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'salora-examples-'))
  await writeTinyModel(join(folder, 'model'))
  await writeFile(join(folder, 'toy.tsv'), toyFile(60))
  const train =
    'train --model model --task toy.tsv --method lora --learning-rate 0.02 --epochs 8 --batch-size 8 --max-length 16 --output run'
  const { code, stderr } = await salora(train.split(' '), { cwd: folder })
  expect(code, stderr).toBe(0)
})
afterAll(async () => {
  for (const server of servers) server.kill()
  await rm(folder, { recursive: true })
})

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((listening) => server.once('listening', listening))
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}

/** Starts a built example that prints its address once it listens. */
const startServer = async (file: string, ...args: readonly string[]): Promise<string> => {
  const child = spawn(process.execPath, [resolve('dist/examples', file), ...args, String(await freePort())], { cwd: folder })
  servers.push(child)
  let printed = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  return new Promise((listening, failed) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => listening(text.trim()))
    child.once('close', () => failed(new Error(printed)))
  })
}

describe('examples/one-step.ts', () => {
  it('shows a training step in at most 60 lines of code, and its steps lower the loss and the density', async () => {
    const code = readFileSync('examples/one-step.ts', 'utf8')
      .replace(/^\s*(\/\*\*[\s\S]*?\*\/|\/\/.*)$/gm, '')
      .split('\n')
      .filter((line) => line.trim() !== '')
    expect(code.length).toBeLessThanOrEqual(60)
    const { stdout } = await promisify(execFile)(process.execPath, ['dist/examples/one-step.js'])
    const lines = [...stdout.matchAll(/^step (\d+): task loss ([\d.e-]+), density ([\d.]+)$/gm)].map((line) => line.slice(1).map(Number))
    expect(lines.map(([step]) => step)).toEqual([100, 200, 300, 400, 500])
    const [first, last] = [lines[0] ?? [], lines.at(-1) ?? []]
    expect(last[1]).toBeLessThan(0.6 * (first[1] ?? NaN))
    expect(Math.abs((last[2] ?? NaN) - 0.5)).toBeLessThan(0.06)
  })
})

describe('examples/http-classifier', () => {
  it('classifies texts behind POST /classify, and answers anything else with a status and a reason', async () => {
    const url = await startServer('http-classifier/server.js', 'run')
    const post = async (body: string) => {
      const response = await fetch(url, { method: 'POST', body })
      return { status: response.status, answer: (await response.json()) as unknown }
    }
    const { status, answer } = await post(JSON.stringify({ texts: ['good fine great film', 'bad awful poor film'] }))
    expect(status).toBe(200)
    expect(answer).toMatchObject([{ label: 'good' }, { label: 'bad' }])
    for (const { score } of answer as readonly { readonly score: number }[]) expect(score).toBeGreaterThan(0.5)
    expect((await post('{ "texts": [1] }')).status).toBe(400)
    expect((await post('texts')).status).toBe(400)
    expect((await post(JSON.stringify({ texts: ['x'.repeat(1 << 20)] }))).status).toBe(413)
    expect((await fetch(url)).status).toBe(405)
    expect((await fetch(new URL('/', url))).status).toBe(404)
  })
})

describe('examples/web-page', () => {
  it.skipIf(!hasChromium)('classifies typed text in Chromium, without the network (skipped where there is no Chromium)', async () => {
    const exported = await salora('export --run run --format transformers.js --precision int8 --output exported'.split(' '), {
      cwd: folder,
    })
    expect(exported.code, exported.stderr).toBe(0)
    const url = await startServer('web-page/server.js', 'exported')
    const browser = await launchChromium()
    try {
      const { page, errors } = await openPage(browser, url, {}, (request) => (request.url().startsWith(url) ? [] : [request.url()]))
      await page.getByText('Ready.').waitFor({ timeout: 60_000 })
      for (const [text, label] of [
        ['good fine great film', 'good'],
        ['bad awful poor film', 'bad'],
      ] as const) {
        await page.getByLabel('A sentence').fill(text)
        await page.getByRole('button').click()
        await page.getByText(new RegExp(`^${label} \\(\\d+\\.\\d %\\)$`)).waitFor()
      }
      expect(errors.filter((line) => line !== 'No available adapters.')).toEqual([]) // Chromium says so where there is no GPU
    } finally {
      await browser.close()
    }
  })

  it('serves no file outside its three folders', async () => {
    const url = await startServer('web-page/server.js', 'run')
    for (const path of ['model/%2e%2e/toy.tsv', 'model/..%2ftoy.tsv', 'toy.tsv', 'model/absent.json'])
      expect((await fetch(`${url}${path}`)).status).toBe(404)
    expect((await fetch(`${url}model/config.json`)).status).toBe(200)
  })
})

describe('examples/adapters', () => {
  it.skipIf(!hasChromium)('swaps the adapters of one base at each key in Chromium (skipped where there is no Chromium)', async () => {
    await writeFile(join(folder, 'moods.tsv'), toyFile(60).replaceAll('good\n', 'glad\n').replaceAll('bad\n', 'sad\n'))
    for (const command of [
      'train --model model --task moods.tsv --method salora --rank 4 --learning-rate 0.02 --epochs 8 --batch-size 8 --max-length 16 --output moods',
      'export --run run --format transformers.js --adapter-inputs --precision int8 --output base',
      'export --run run --format peft-file --output sentiment',
      'export --run moods --format peft-file --output mood',
    ]) {
      const { code, stderr } = await salora(command.split(' '), { cwd: folder })
      expect(code, stderr).toBe(0)
    }
    const url = await startServer('adapters/server.js', 'base', 'sentiment', 'mood')
    const browser = await launchChromium()
    try {
      const { page, errors } = await openPage(browser, url, {}, (request) => (request.url().startsWith(url) ? [] : [request.url()]))
      await page.getByText('Ready.').waitFor({ timeout: 60_000 })
      for (const [text, labels] of [
        ['good fine great film', ['good', 'glad']],
        ['bad awful poor film', ['bad', 'sad']],
      ] as const) {
        await page.getByLabel('A sentence').fill(text)
        for (const label of labels) await page.getByText(new RegExp(`^${label} \\(\\d+\\.\\d %\\)$`)).waitFor()
      }
      expect(errors.filter((line) => line !== 'No available adapters.')).toEqual([])
    } finally {
      await browser.close()
    }
  })
})
