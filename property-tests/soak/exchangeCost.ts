/** What it costs to send a step's numbers and gradients through Redis: bytes, and milliseconds on this machine, for adapters of several models. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { normals } from '../../accelerated/parameters/random.js'
import { acceptPart } from '../../finetuning/distributed/acceptPart.js'
import { bytesOf, byteLengthOf, exchanges, numbersOf } from '../../finetuning/distributed/exchange.js'
import { fromFrame, stepHeader, toFrame } from '../../finetuning/distributed/frame.js'
import { openRedis } from '../../finetuning/distributed/redis.js'
import { keysOf, publishStep, storeGradient } from '../../finetuning/distributed/runKeys.js'
import { startRedis } from '../support/redisServer.js'

/** Trained numbers at r = 8: six matrices a layer of RoBERTa, seven of LLaMA. */
const shapes = [
  ['RoBERTa-base', 1_327_104],
  ['RoBERTa-large', 3_538_944],
  ['LLaMA 2 7B', 19_988_480],
] as const

const repeats = 7

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

const folder = await mkdtemp(join(tmpdir(), 'salora-exchange-'))
const redis = await startRedis(folder)
const options = { signal: new AbortController().signal, onEvent: () => undefined }
const client = await openRedis(redis.url, options)
await client.config('SET', 'appendonly', 'no')
const keys = keysOf('cost')
console.log(
  '| adapter | exchange | to a worker | back | publish | read | return | collect |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |',
)
try {
  for (const [name, size] of shapes)
    for (const exchange of exchanges) {
      const numbers = Float32Array.from(normals(1, 'initialization', 0, size))
      const times: Record<'publish' | 'read' | 'send' | 'collect', number[]> = { publish: [], read: [], send: [], collect: [] }
      const timed = async (which: keyof typeof times, work: () => Promise<unknown>): Promise<void> => {
        const began = performance.now()
        await work()
        times[which].push(performance.now() - began)
      }
      for (let step = 0; step < repeats; step++) {
        const token = `cost#${step}`
        const header = {
          token,
          work: 'gradients',
          step,
          phase: null,
          progress: { step, steps: repeats },
          parts: 1,
          size,
          exchange,
          lease: 1_000,
        } as const
        await timed('publish', () => publishStep(client, 'cost', token, toFrame(header, bytesOf(numbers, 'float32')), 1))
        await timed('read', async () => {
          const { body } = fromFrame((await client.getBuffer(keys.step)) ?? Buffer.alloc(0), stepHeader, 'cost', 'a step')
          return numbersOf(body, size, 'float32', 'float32')
        })
        const by = { worker: 'w', tokens: 1, seconds: 1, results: {} }
        await timed('send', () => storeGradient(client, 'cost', token, 0, toFrame(by, bytesOf(numbers, exchange))))
        await timed('collect', async () => {
          const frame = (await client.getBuffer(keys.gradient(0))) ?? Buffer.alloc(0)
          const context = {
            part: 0,
            work: 'gradients',
            step: { step, parameters: numbers },
            dtype: 'float32',
            exchange,
            trusted: new Set(['w']),
          } as const
          return acceptPart(frame, { ...context, compute: () => Promise.reject(new Error('never')) })
        })
      }
      const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
      const cells = [mb(byteLengthOf(size, 'float32', 'float32')), mb(byteLengthOf(size, 'float32', exchange))]
      const ms = Object.values(times).map((values) => `${median(values).toFixed(0)} ms`)
      console.log(`| ${[name, exchange, ...cells, ...ms].join(' | ')} |`)
    }
} finally {
  client.disconnect()
  await redis.stop()
  await rm(folder, { recursive: true, force: true })
}
