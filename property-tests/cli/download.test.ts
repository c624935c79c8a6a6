/** A slow download: train, and a command without a second thread, print its progress; --quiet does not. */
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { salora } from './spawnSalora.js'
import { toyFolder } from './toyFolder.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const cwd = toyFolder('download')
const { folder: caches } = temporaryFolder('caches')
let server: Server
beforeAll(async () => {
  server = createServer((request, response) => {
    const name = basename(request.url ?? '')
    void readFile(join(cwd, 'tiny', name)).then(
      async (bytes) => {
        response.writeHead(200, { 'content-length': String(bytes.length), 'x-repo-commit': 'a'.repeat(40) })
        if (request.method === 'HEAD') return response.end()
        const slow = name === 'model.safetensors' ? [bytes.subarray(0, 1000), bytes.subarray(1000, 2000), bytes.subarray(2000)] : [bytes]
        for (const [i, part] of slow.entries()) {
          if (i > 0) await pause(1_100)
          response.write(part)
        }
        return response.end()
      },
      () => response.writeHead(404).end(),
    )
  })
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening)
  })
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

it('train and estimate print the progress of a download', async () => {
  const run = (cache: string, ...args: readonly string[]) =>
    salora([...args, '--model', 'me/tiny'], {
      cwd,
      environment: {
        HF_HUB_OFFLINE: '',
        HF_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        SALORA_CACHE: join(caches, cache),
      },
    })
  const flags = ['--task', 'toy.tsv', '--method', 'lora', '--max-steps', '1', '--max-length', '16', '--batch-size', '4', '--device', 'cpu']
  const [train, quiet, estimate] = await Promise.all([
    run('train', 'train', ...flags, '--output', 'run'),
    run('quiet', 'train', ...flags, '--output', 'quiet', '--quiet'),
    run('estimate', 'estimate', '--max-length', '16'),
  ])
  for (const { code, stderr } of [train, estimate]) {
    expect(code, stderr).toBe(0)
    expect(stderr).toMatch(/^downloading model\.safetensors, 0 of \d+ MB …$/m)
  }
  expect(quiet.code, quiet.stderr).toBe(0)
  expect(quiet.stderr).not.toContain('downloading')
}, 60_000)
