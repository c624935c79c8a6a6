/** The Browser tabs of the guides' code groups run in Chromium: each is bundled by esbuild and runs in a Web Worker, in the order of the page. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyRows } from '../cli/toyTask.js'
import { codeBlocksOf } from '../documentation/pages.js'
import { smaller } from '../documentation/walkthroughs.js'
import { hasChromium, launchChromium } from '../support/chromium.js'
import { served, type Served } from './browserRun.js'

const guides = ['your-own-data', 'exports', 'sentence-embeddings'].map((name) => `docs/how-to/${name}.md`)

const snippetsIn = async (page: string): Promise<readonly string[]> =>
  codeBlocksOf(page, await readFile(page, 'utf8')).flatMap(({ info, code }) => (info === '[Browser]' ? [code] : []))

const csv = (header: string, toRow: (text: string, label: string) => string): string =>
  [header, ...toyRows(40).map(({ text, label }) => toRow(text, label))].join('\n')
const data = {
  'reviews.csv': csv('review,stars', (text, label) => `${text},${label === 'good' ? 5 : 1}`),
  'pairs.csv': csv('question,answer', (text, label) => `${text},It was ${label}: ${text}`),
}

let root = ''
let browser: Browser | null = null
let server: Served | null = null
let page: Page | null = null
beforeAll(async () => {
  if (!hasChromium) return
  root = await mkdtemp(join(tmpdir(), 'salora-snippets-'))
  await mkdir(join(root, 'runtime'))
  const runtime = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'))
  for (const name of ['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'])
    await writeFile(join(root, 'runtime', name), await readFile(join(runtime, name)))
  await writeFile(join(root, 'index.html'), `<meta http-equiv="Content-Security-Policy" content="default-src 'self' 'wasm-unsafe-eval'">`)
  server = await served(root)
  browser = await launchChromium()
  page = await browser.newPage()
  await page.goto(server.url)
  await writeTinyModel(join(root, 'models/mine'))
  for (const [name, text] of Object.entries(data)) await writeFile(join(root, name), text)
  const files = [...(await readdir(join(root, 'models/mine'))).map((name) => `models/mine/${name}`), ...Object.keys(data)]
  await page.evaluate(`(async () => {
    for (const path of ${JSON.stringify(files)}) {
      let folder = await navigator.storage.getDirectory()
      for (const name of path.split('/').slice(0, -1)) folder = await folder.getDirectoryHandle(name, { create: true })
      const writable = await (await folder.getFileHandle(path.split('/').at(-1), { create: true })).createWritable()
      await writable.write(await (await fetch(path)).arrayBuffer())
      await writable.close()
    }
  })()`)
}, 120_000)
afterAll(async () => {
  await browser?.close()
  server?.close()
  if (root !== '') await rm(root, { recursive: true })
})

/** Runs the program in a worker of the page. → what it printed, as JSON */
const printedBy = async (name: string, snippet: string): Promise<string> => {
  const code = smaller.reduce((text, [from, to]) => text.replace(from, to), snippet)
  const print = 'const console = { log: (...values) => self.postMessage(JSON.stringify(values)) }\n'
  await build({
    stdin: { contents: `${print}${code}\nself.postMessage('done')`, resolveDir: process.cwd(), sourcefile: `${name}.js` },
    ...{ bundle: true, format: 'esm', target: 'es2022', logLevel: 'error', conditions: ['onnxruntime-web-use-extern-wasm'] },
    outfile: join(root, `${name}.js`),
  })
  if (page === null) throw new Error('expected a page, got none')
  return page.evaluate<string>(`new Promise((resolve, reject) => {
    let printed = ''
    const worker = new Worker('${name}.js', { type: 'module' })
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.onmessage = ({ data }) => data === 'done' ? resolve(printed) : (printed += data)
  })`)
}

describe.skipIf(!hasChromium)("the Browser tabs of the guides' code groups (skipped without Chromium)", () => {
  it('train, predict and export a classifier, and train and apply embeddings', async () => {
    const snippets = (await Promise.all(guides.map(snippetsIn))).flat()
    expect(snippets.length).toBe(4)
    const [trained = '', predicted = '', exported = '', embedded = ''] = await snippets.reduce<Promise<readonly string[]>>(
      async (before, snippet) => [...(await before), await printedBy(`snippet${(await before).length}`, snippet)],
      Promise.resolve([]),
    )
    expect(trained).toMatch(/^\[8,\{"accuracy":/)
    expect(predicted).toMatch(/^\[\[\{"label":"[15]","score":/)
    expect(exported).toBe('')
    expect(embedded).toMatch(/^\[8,\{.*"mrr":.+\{"embedding":\[/)
    const onnx = await page?.evaluate<number>(`navigator.storage.getDirectory()
      .then((folder) => folder.getDirectoryHandle('exported')).then((folder) => folder.getDirectoryHandle('reviews'))
      .then((folder) => folder.getDirectoryHandle('onnx')).then((folder) => folder.getFileHandle('model.onnx'))
      .then((file) => file.getFile()).then(({ size }) => size)`)
    expect(onnx).toBeGreaterThan(10_000)
  }, 120_000)
})
