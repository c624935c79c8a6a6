/** npm run web: serves the page that trains in a browser on this machine, with the headers that threads need. */
import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createAdaptorServer } from '@hono/node-server'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { secureHeaders } from 'hono/secure-headers'

/** A page with these has shared memory, and so threads. */
const isolation = { crossOriginOpenerPolicy: 'same-origin', crossOriginEmbedderPolicy: 'require-corp' }

/** What the page may load and where it may connect, by its own words. */
const readPolicy = (folder: string): string =>
  /"Content-Security-Policy" content="([^"]+)"/.exec(readFileSync(join(folder, 'index.html'), 'utf8'))?.[1] ?? "default-src 'none'"

/** A server of the files in `folder`; it has no port yet. A thread obeys the policy of its own file, not the page's: each file has it. */
export const pageServer = (folder: string, isolated = true): Server => {
  const app = new Hono()
  const policy = readPolicy(folder)
  app.use(async ({ header }, next) => {
    await next()
    header('Content-Security-Policy', policy)
  })
  if (isolated) app.use(secureHeaders(isolation))
  app.use(serveStatic({ root: folder, precompressed: true }))
  return createAdaptorServer({ fetch: app.fetch }) as Server
}

if (process.argv[1]?.endsWith('servePage.js') === true) {
  const [, , folder = fileURLToPath(new URL('../../build/web', import.meta.url)), port = '8080'] = process.argv
  const server = pageServer(folder)
  server.on('error', (failed) => {
    console.error(`port ${port}: expected a free port, got ${failed.message}; name another: npm run web -- 8081`)
    process.exitCode = 1
  })
  server.listen(Number(port), '127.0.0.1', () => console.log(`http://localhost:${port} (Ctrl-C ends it)`))
}
