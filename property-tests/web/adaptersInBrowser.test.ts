/** `salora/adapters` in Chromium, in a page and in a Web Worker: the logits are those of Node, swaps are short, and its code is a few KB. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { env, pipeline, type Tensor } from '@huggingface/transformers'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeFamily } from '../cli/tinyAdapter.js'
import { hasChromium, launchChromium, openPage } from '../support/chromium.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { exportTo, fiveKinds, serveFiles, writeKind, type Files } from './swappedAdapters.js'

const { folder: root } = temporaryFolder('adapters-browser')
const at = (...path: readonly string[]): string => join(root, ...path)
const text = 'a wonderful film.'
const resolve = createRequire(import.meta.url).resolve

/** What page and worker run: every adapter by its URL, its logits, and 500 swaps. @param proxied whether ONNX Runtime runs in a worker of its own */
const program = (proxied: boolean): string => `
  import { env, pipeline } from './transformers/transformers.min.js'
  import { withAdapter } from './adapters.js'
  const site = new URL('.', import.meta.url)
  env.allowRemoteModels = false
  env.allowLocalModels = true
  env.localModelPath = site.pathname
  env.backends.onnx.wasm.wasmPaths = new URL('onnxruntime/', site).href
  env.backends.onnx.wasm.proxy = ${proxied}
  export const answers = async () => {
    const urls = ${JSON.stringify(Object.keys(fiveKinds))}.map((name) => new URL(name + '/adapter.safetensors', site))
    const classify = await withAdapter(await pipeline('text-classification', 'base', { dtype: 'fp32', device: 'wasm' }), urls[0])
    const logits = []
    for (const url of urls) {
      await classify.use(url)
      for (let i = 0; i < 2; i++) logits.push([...(await classify.model(classify.tokenizer('${text}'))).logits.data])
    }
    const files = await Promise.all(urls.map(async (url) => (await fetch(url)).arrayBuffer()))
    const times = []
    const swapOften = async (count) => {
      for (let i = 0; i < count; i++) {
        const start = performance.now()
        await classify.use(files[i % files.length])
        times.push(performance.now() - start)
        if (i % 10 === 0) await classify('${text}')
      }
    }
    await swapOften(50)
    globalThis.gc?.()
    const before = performance.memory?.usedJSHeapSize ?? 0
    await swapOften(500)
    globalThis.gc?.()
    const grown = (performance.memory?.usedJSHeapSize ?? 0) - before
    return { logits, median: times.sort((a, b) => a - b)[times.length >> 1], grown }
  }
`
type Answers = { readonly logits: readonly (readonly number[])[]; readonly median: number; readonly grown: number }

let files: Files = { url: '', close: () => undefined }
let browser: Browser | null = null
const expected: number[][] = []
beforeAll(async () => {
  if (!hasChromium) return
  env.allowRemoteModels = false
  const model = await writeFamily(at('model'), 'bert')
  for (const [name, kind] of Object.entries(fiveKinds)) {
    const adapter = await writeKind(at('folders', name), model, kind)
    await exportTo(at(name), model, adapter, { format: 'peft-file' })
    const merged = await pipeline('text-classification', await exportTo(at(`${name}-merged`), model, adapter, {}), {
      dtype: 'fp32',
      device: 'cpu',
    })
    const { logits } = (await merged.model(merged.tokenizer(text))) as { readonly logits: Tensor }
    expected.push(Array.from(logits.data, Number))
    await merged.dispose()
  }
  await exportTo(at('base'), model, at('folders', 'spam'), { adapterInputs: { maxRank: 8 } })
  for (const [name, folder] of [
    ['transformers', dirname(resolve('@huggingface/transformers'))],
    ['onnxruntime', dirname(resolve('onnxruntime-web'))],
  ] as const) {
    await mkdir(at(name))
    const wanted =
      name === 'transformers' ? ['transformers.min.js'] : ['ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm']
    for (const file of wanted) await writeFile(at(name, file), await readFile(join(folder, file)))
  }
  await build({ entryPoints: ['web/adapters/index.ts'], bundle: true, format: 'esm', minify: true, outfile: at('adapters.js') })
  await writeFile(at('plain.js'), program(false))
  await writeFile(at('proxied.js'), program(true))
  await writeFile(
    at('worker.js'),
    "import { answers } from './plain.js'\nanswers().then(postMessage, ({ message }) => postMessage({ message }))\n",
  )
  await writeFile(at('index.html'), '<!doctype html><link rel="icon" href="data:,">')
  files = await serveFiles(root)
  browser = await launchChromium('--js-flags=--expose-gc', '--enable-precise-memory-info')
})
afterAll(async () => {
  await browser?.close()
  files.close()
})

const expectMerged = ({ logits }: Pick<Answers, 'logits'>): void => {
  expect(logits).toHaveLength(2 * expected.length)
  for (const [i, row] of logits.entries()) {
    const merged = expected[i >> 1] ?? []
    expect(row).toHaveLength(merged.length)
    for (const [j, value] of row.entries()) expect(Math.abs(value - (merged[j] ?? NaN))).toBeLessThan(1e-5)
  }
}

describe.skipIf(!hasChromium)('salora/adapters in Chromium (skipped without Chromium)', () => {
  it.each(['plain', 'proxied'])('answers as the merged exports do, swaps in less than 5 ms and grows by nothing: %s', async (name) => {
    const { page, errors } = await openPage(browser, `${files.url}index.html`, {}, () => [])
    const answers = await page.evaluate<Answers>(`import('./${name}.js').then(({ answers }) => answers())`)
    expect(errors.filter((line) => line !== 'No available adapters.')).toEqual([])
    expectMerged(answers)
    expect(answers.median).toBeLessThan(5)
    expect(answers.grown).toBeLessThan(3_000_000)
    await page.close()
  })

  it('answers so in a Web Worker', async () => {
    const { page } = await openPage(browser, `${files.url}index.html`, {}, () => [])
    const answers = await page.evaluate<Answers>(`new Promise((resolve, reject) => {
      const worker = new Worker('worker.js', { type: 'module' })
      worker.onmessage = ({ data }) => (data.message ? reject(new Error(data.message)) : resolve(data))
      worker.onerror = ({ message }) => reject(new Error(message))
    })`)
    expectMerged(answers)
    await page.close()
  })
})

it('is a few KB of code without an import', async () => {
  const { outputFiles, metafile } = await build({
    ...{
      entryPoints: ['web/adapters/index.ts'],
      bundle: true,
      format: 'esm',
      minify: true,
      metafile: true,
      write: false,
      outdir: 'unwritten',
    },
    platform: 'neutral',
  })
  expect(Object.keys(metafile.inputs).sort()).toEqual(['web/adapters/adapterFile.ts', 'web/adapters/index.ts'])
  const code = outputFiles[0]?.contents ?? new Uint8Array()
  expect(code.length).toBeLessThan(10_000)
  expect(gzipSync(code).length).toBeLessThan(4_500)
})
