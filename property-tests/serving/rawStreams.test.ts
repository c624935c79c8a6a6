/** Streams as a socket sees them: an HTTP/1.0 client reads no chunks, and a connection that is not kept ends with its answer. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { serve } from '@hono/node-server'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { servingApp } from '../../finetuning/use/serving/http/app.js'
import { noAdapters } from '../../finetuning/use/serving/http/adapters.js'
import { defaultLimits } from '../../finetuning/use/serving/http/limits.js'
import type { ServedRun } from '../../finetuning/use/serving/openRuns.js'

/** Writes two pieces, 20 ms apart, so that the first is sent before the second is there. */
const writer: ServedRun = {
  info: {
    ...{ folder: 'runs/alpaca', model: 'tiny', method: 'lora', taskType: 'causal', device: 'cpu', maxLength: 16, batchSize: 1 },
    ...{ labelNames: null, columns: { text: 'text' }, promptTemplate: 'chat', answers: 'generate' },
  },
  pending: () => 0,
  idle: async () => undefined,
  close: async () => undefined,
  score: () => Promise.reject(new Error('never')),
  predict: () => Promise.reject(new Error('never')),
  generate: async (_prompt, _settings, { onPiece, onStart }) => {
    onStart?.(1)
    for (const piece of ['Hel', 'lo']) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      onPiece(piece)
    }
    return { text: 'Hello', tokens: 2, ended: 'end', ids: [] }
  },
}

let server: ReturnType<typeof serve>
beforeAll(async () => {
  const models = new Map([['alpaca', { run: writer, created: 0 }]])
  const app = servingApp({ models, adapters: noAdapters, limits: defaultLimits, isLocal: true, origins: [] })
  server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0, serverOptions: { keepAliveTimeout: 5_000 } })
  await once(server, 'listening')
})
afterAll(() => server.close())

const body = JSON.stringify({ messages: [{ role: 'user', content: 'a' }], stream: true })

/** The status line, the headers and the body of one answer, as bytes say them. @param ends what the last bytes are, or 'close' */
const exchange = async (version: string, headers: readonly string[], ends: string) => {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const lines = [`POST /v1/chat/completions HTTP/${version}`, 'Host: 127.0.0.1', ...headers, `Content-Length: ${body.length}`, '', body]
  socket.write(lines.join('\r\n'))
  let [text, endedAt] = ['', Infinity]
  const over = new Promise<void>((resolve) => {
    socket.setEncoding('latin1').on('data', (piece: string) => {
      text += piece
      if (text.includes('[DONE]')) endedAt = Math.min(endedAt, performance.now())
      if (text.endsWith(ends)) resolve()
    })
    socket.on('close', () => resolve())
  })
  await over
  const waited = performance.now() - endedAt
  socket.destroy()
  const at = text.indexOf('\r\n\r\n')
  return { head: text.slice(0, at).toLowerCase(), content: text.slice(at + 4), waited }
}

const pieces = (content: string): readonly unknown[] => [...content.matchAll(/"content":"(\w+)"/g)].map(([, piece]) => piece)

it('an HTTP/1.0 client gets the events as they are, without chunks, and the end of the connection after the last', async () => {
  const { head, content, waited } = await exchange('1.0', [], 'close')
  expect(head).not.toContain('transfer-encoding')
  expect(head).toContain('connection: close')
  expect(content.startsWith('data: {')).toBe(true)
  expect(content.endsWith('data: [DONE]\n\n')).toBe(true)
  expect(pieces(content)).toEqual(['Hel', 'lo'])
  expect(waited).toBeLessThan(1_000)
})

it('an HTTP/1.1 client that asks for it gets the end of the connection at once', async () => {
  const { head, content, waited } = await exchange('1.1', ['Connection: close'], 'close')
  expect(head).toContain('connection: close')
  expect(content.endsWith('0\r\n\r\n')).toBe(true)
  expect(waited).toBeLessThan(1_000)
})

it('another HTTP/1.1 client gets chunks on a connection that stays open', async () => {
  const { head, content, waited } = await exchange('1.1', [], '0\r\n\r\n')
  expect(head).toContain('transfer-encoding: chunked')
  expect(head).not.toContain('connection: close')
  expect(content).toContain('[DONE]')
  expect(waited).toBeLessThan(1_000)
})
