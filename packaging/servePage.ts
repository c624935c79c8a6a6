/** npm run web: serves the page that trains in a browser on this machine, with the headers that threads need. */
import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
}

/** With these a page has shared memory, and so threads. */
const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }

/** A server of the files in `folder`; it has no port yet. */
export const pageServer = (folder: string, isolated = true): Server =>
  createServer(({ url = '/' }, response) => {
    const path = decodeURIComponent(new URL(url, 'http://localhost').pathname)
    const file = join(folder, normalize(path.endsWith('/') ? `${path}index.html` : path))
    if (!file.startsWith(folder) || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end()
      return
    }
    const headers = { 'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'Content-Length': statSync(file).size }
    response.writeHead(200, isolated ? { ...headers, ...isolation } : headers)
    createReadStream(file).pipe(response)
  })

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , folder = fileURLToPath(new URL('../../build/web', import.meta.url)), port = '8080'] = process.argv
  pageServer(folder).listen(Number(port), '127.0.0.1', () => console.log(`http://localhost:${port} (Ctrl-C ends it)`))
}
