/** What a part costs beside its computation: processor time of a leader and a worker in one process, whose parts take no time. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { normals } from '../../accelerated/parameters/random.js'
import { exchanges } from '../../finetuning/machines/exchange.js'
import { newSigner } from '../../finetuning/machines/frame.js'
import { serveMicroBatches } from '../../finetuning/machines/serveMicroBatches.js'
import { openLeader } from '../../finetuning/machines/leader.js'
import { openRedis } from '../../finetuning/machines/redis.js'
import { hashRunId } from '../../finetuning/machines/runKeys.js'
import { startRedis } from './redisServer.js'

/** Trained numbers at r = 8: the embedded model, six matrices a layer of RoBERTa, seven of LLaMA. */
const shapes = { 'embedded model': 98_304, 'RoBERTa-base': 1_327_104, 'RoBERTa-large': 3_538_944, 'LLaMA 2 7B': 19_988_480 }
const [steps, parts] = [20, 8]

const folder = await mkdtemp(join(tmpdir(), 'salora-part-cost-'))
const redis = await startRedis(folder)
const stop = new AbortController()
const connect = () => openRedis(redis.url, { signal: stop.signal, onEvent: () => undefined })
const admin = await connect()
await admin.config('SET', 'appendonly', 'no')
console.log('| adapter, r = 8 | exchange | numbers | processor milliseconds a part, leader and worker |\n| --- | --- | ---: | ---: |')
for (const [name, size] of Object.entries(shapes))
  for (const exchange of exchanges) {
    const [signer, gradient, place] = [newSigner(), Float32Array.from(normals(1, 'initialization', 0, size)), `${size}-${exchange}`]
    const setup = JSON.stringify({ key: signer.key })
    const leader = await openLeader({ client: await connect(), place, name: 'leader', setup, signer, dtype: 'float32', exchange })
    const part = { gradient, tokens: 1, results: { loss: Float32Array.of(1) } }
    const computer = { open: async () => undefined, compute: async () => part }
    const worker = { gradients: computer, answers: computer, release: async () => undefined }
    const run = { place, id: hashRunId(setup), leaderKey: signer.key, redis: redis.url, worker: 'worker', dtype: 'float32' } as const
    let returned = 0
    const served = serveMicroBatches({ ...run, client: await connect(), parts: worker, signal: stop.signal, onPart: () => void returned++ })
    const times: number[] = []
    for (let step = 0; step < steps; step++) {
      const began = process.cpuUsage()
      const layout = { size, entries: [], blocks: [] }
      returned = 0
      const compute = async () => {
        while (returned < parts - 1) await pause(1) // the worker takes all parts but one
        return part
      }
      const source = { step, phase: null, progress: { step, steps }, parameters: gradient }
      await leader.executor({ ...source, layout, parts, compute })
      const { user, system } = process.cpuUsage(began)
      times.push((user + system) / 1_000 / (parts - 1))
    }
    const median = times.sort((a, b) => a - b)[Math.floor(steps / 2)] ?? NaN
    console.log(`| ${name} | ${exchange} | ${size.toLocaleString('en-US')} | ${median.toFixed(1)} |`)
    await leader.close()
    await served
  }
stop.abort()
admin.disconnect()
await redis.stop()
await rm(folder, { recursive: true, force: true })
