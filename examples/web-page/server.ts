/**
 * Serves the page beside this file, a model that `salora export --format transformers.js` wrote, and transformers.js from node_modules:
 *
 *   node dist/examples/web-page/server.js exported/reviews [PORT]
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import { dirname, extname, join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}

/** The folder of a package's built module. */
export const installedFolder = (name: string): string => dirname(createRequire(import.meta.url).resolve(name))

/** The folder of an installed package's built files. */
const builtFiles = (name: string): string => {
  const entry = createRequire(import.meta.url).resolve(name)
  return entry.slice(0, entry.lastIndexOf(`${sep}dist${sep}`) + `${sep}dist`.length)
}

/** The page is not compiled, so a compiled server finds it in the source folder. */
export const findPage = (example: string, server: string): string =>
  fileURLToPath(new URL(server.includes('/dist/') ? `../../../examples/${example}/index.html` : './index.html', server))

export type Served = {
  /** by the first part of a path */
  readonly folders: Readonly<Record<string, string>>
  /** by path */
  readonly files?: ReadonlyMap<string, string>
  readonly texts?: ReadonlyMap<string, string>
}

/** GET / is the page; /transformers/ and /onnxruntime/ are the files of two packages. */
export const pageServer = (page: string, { folders: own, files = new Map(), texts = new Map() }: Served): Server => {
  const packages = { transformers: builtFiles('@huggingface/transformers'), onnxruntime: builtFiles('onnxruntime-web') }
  const folders: Readonly<Record<string, string>> = { ...packages, ...own }
  /** null for a path that leaves its folder, or that has none */
  const fileOf = (path: string): string | null => {
    if (path === '/') return page
    const [, name = '', ...rest] = path.split('/')
    const folder = Object.hasOwn(folders, name) ? folders[name] : undefined
    return files.get(path) ?? (folder === undefined || rest.includes('..') ? null : join(folder, ...rest))
  }
  return createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)
    const text = texts.get(path)
    if (text !== undefined) return void response.writeHead(200, { 'content-type': 'application/json' }).end(text)
    const file = fileOf(path)
    const isFile =
      file !== null &&
      (await stat(file).then(
        (entry) => entry.isFile(),
        () => false,
      ))
    if (file === null || !isFile) return void response.writeHead(404).end()
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' })
    createReadStream(file).pipe(response)
  })
}

const main = ([model, port = '8080']: readonly string[]): void => {
  if (model === undefined) throw new Error('usage: server.js EXPORTED_MODEL [PORT]')
  pageServer(findPage('web-page', import.meta.url), { folders: { model } }).listen(Number(port), '127.0.0.1', () =>
    console.log(`http://127.0.0.1:${port}/`),
  )
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main(process.argv.slice(2))
