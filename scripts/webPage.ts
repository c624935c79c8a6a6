/**
 * npm run build:web: writes the page that trains in a browser into a folder, which any server of files can serve. With --single it writes one HTML
 * file, which opens from a disk without a server or a network.
 */
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants } from 'node:zlib'
import { build } from 'esbuild'
import { packageFile } from '../accelerated/storage/packages.js'

const root = packageFile('')
/** Characters of a sentence in the sample of reviews. Short ones train fast, and teach what a visitor types: "absolutely terrible". */
const mostCharacters = 60

const withRuntime = { conditions: ['onnxruntime-web-use-extern-wasm'], absWorkingDir: root }
/** A script that is no module has no import.meta. */
const classicScript = { 'import.meta.url': 'self.location.href' }

/** Writes the page into `folder`, in place of what an earlier build left there. */
export const buildPage = async (folder: string, isSingle = false): Promise<void> => {
  await rm(folder, { recursive: true, force: true })
  for (const name of ['model', 'report']) await mkdir(join(folder, name), { recursive: true })
  const page = (name: string): string => join(root, 'web/page', name)
  const common = { bundle: true, minify: true, target: 'es2022', logLevel: 'warning', outdir: folder, charset: 'utf8' } as const
  await build({
    ...common,
    entryPoints: [page('page.ts'), ...(isSingle ? [] : [page('worker.ts')]), page('page.css')],
    format: 'esm',
    splitting: !isSingle,
    chunkNames: 'parts/[name]-[hash]',
    ...withRuntime,
  })
  if (isSingle) await build({ ...common, ...withRuntime, entryPoints: [page('worker.ts')], format: 'iife', define: classicScript })
  await cp(page('index.html'), join(folder, 'index.html'))
  await copyRuntime(join(folder, 'runtime'))
  for (const name of ['report.js', 'page.css']) await cp(join(root, 'dist/reporting/page', name), join(folder, 'report', name))
  await cp(join(root, 'finetuning/embedded/model'), join(folder, 'model'), { recursive: true })
  await cp(page('samples'), join(folder, 'samples'), { recursive: true })
  await writeFile(join(folder, 'samples/reviews.jsonl'), await sampleReviews())
  const names = await filesIn(folder)
  const runtime = names.filter((name) => name.startsWith('runtime/'))
  const pageFiles = { version: await hashFiles(folder, names), names: ['./', ...names.filter((name) => !runtime.includes(name))], runtime }
  await build({ ...common, entryPoints: [page('serviceWorker.ts')], format: 'iife', define: { pageFiles: JSON.stringify(pageFiles) } })
}

const sampleReviews = async (): Promise<string> => {
  const sentences = await readFile(join(root, 'finetuning/data/sentiment/sentences.jsonl'), 'utf8')
  const rows = sentences
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly text: string; readonly label: number })
    .filter(({ text }) => text.length <= mostCharacters)
  return rows.map(({ text, label }) => `${JSON.stringify({ text, label: label === 1 ? 'positive' : 'negative' })}\n`).join('')
}

const copyRuntime = async (folder: string): Promise<void> => {
  const runtime = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'))
  await mkdir(folder)
  for (const kind of ['', '.jspi', '.asyncify'])
    for (const ending of ['mjs', 'wasm'])
      await cp(join(runtime, `ort-wasm-simd-threaded${kind}.${ending}`), join(folder, `ort-wasm-simd-threaded${kind}.${ending}`))
}

const filesIn = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) =>
      join(parentPath, name)
        .slice(folder.length + 1)
        .replaceAll('\\', '/'),
    )
    .sort()

const hashFiles = async (folder: string, names: readonly string[]): Promise<string> => {
  const digest = createHash('sha256')
  for (const name of names) digest.update(name).update(await readFile(join(folder, name)))
  return digest.digest('hex').slice(0, 16)
}

/** Bytes from which compression is worth another file. */
const leastCompressed = 100_000

/** Writes each large file once more by Brotli, beside it: a server that sends `.br` files, as `npm run web` does, needs less than half of the bytes. */
export const compressFiles = async (folder: string): Promise<void> => {
  for (const name of await filesIn(folder)) {
    const bytes = await readFile(join(folder, name))
    if (bytes.length < leastCompressed) continue
    const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
    await writeFile(join(folder, `${name}.br`), await promisify(brotliCompress)(bytes, { params }))
  }
}

/** The policy of a page whose files are inside: it loads what it has, and models of the hub. */
const singlePolicy =
  "default-src 'none'; script-src 'unsafe-inline' blob: 'wasm-unsafe-eval'; worker-src blob:; connect-src blob: data: https://huggingface.co https://*.huggingface.co https://*.hf.co; style-src 'unsafe-inline'; img-src data:"

/** The page as one HTML file. */
export const buildSinglePage = async (file: string): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'salora-single-'))
  try {
    await buildPage(folder, true)
    const isInside = (name: string): boolean =>
      /^(worker\.js$|model\/|samples\/|report\/)/.test(name) || /^runtime\/ort-wasm-simd-threaded\.(mjs|wasm)$/.test(name)
    const files = await Promise.all(
      (await filesIn(folder)).filter(isInside).map(async (name) => {
        const base64 = await readFile(join(folder, name), 'base64')
        return `<script type="text/plain" data-file="${name}">${base64}</script>\n`
      }),
    )
    const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')
    const [html, style, script] = [await read('index.html'), await read('page.css'), await read('page.js')]
    const single = html
      .replace(/(?<=Content-Security-Policy" content=")[^"]+/, singlePolicy)
      .replace('<link rel="stylesheet" href="page.css">', () => `<style>${style}</style>`)
      .replace(
        '<script type="module" src="page.js"></script>',
        () => `${files.join('')}<script type="module">${script.replaceAll('</script', '<\\/script')}</script>`,
      )
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, single)
  } finally {
    await rm(folder, { recursive: true })
  }
}

if (process.argv[1]?.endsWith('webPage.js') === true) {
  const [place = join(root, 'build/web'), ...options] = process.argv.slice(2)
  if (options.includes('--single')) await buildSinglePage(join(place, 'salora.html'))
  else {
    await buildPage(place)
    await compressFiles(place)
  }
}
