/**
 * The efficiency of a run on 2 and 4 machines on networks of several speeds, beside its model, which also predicts more machines. The parts sleep in
 * place of computing. Everything else is real: Redis, the exchange, and links between network namespaces; a proxy delays bytes. Needs root, `ip`,
 * `tc` and Redis.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { normals } from '../../accelerated/parameters/random.js'
import type { PartGradient } from '../../accelerated/training/partGradient.js'
import { byteLengthOf, exchanges, type Exchange } from '../../finetuning/distributed/exchange.js'
import { openLeader } from '../../finetuning/distributed/leader.js'
import { computeParts } from '../../finetuning/distributed/partLoop.js'
import { openRedis } from '../../finetuning/distributed/redis.js'
import { openDelay } from './delayProxy.js'
import { openMachines, type Link, type Machines } from './namespaces.js'
import { efficiency, exchangeCosts, stepSeconds, type NetworkStep } from './networkModel.js'

type Network = Link & {
  readonly name: string
  /** milliseconds of a message and its answer, between Redis and a worker */
  readonly roundTrip: number
}

const networks: ReadonlyArray<Network> = [
  { name: '1 Gbit/s', megabits: 1_000, roundTrip: 0 },
  { name: '1 Gbit/s, 20 ms', megabits: 1_000, roundTrip: 20 },
  { name: '100 Mbit/s, 20 ms', megabits: 100, roundTrip: 20 },
]

/** Trained numbers at r = 8 of RoBERTa-base; seconds of a part. */
const [size, times] = [1_327_104, [0.5, 2]] as const

/** Parts for each machine, and steps: the first ones are not measured, since a worker's first part is computed twice. */
const [partsPerMachine, warmUp, measured] = [4, 2, 3]

const jobSchema = z.strictObject({
  role: z.enum(['leader', 'worker']),
  /** the run's id: workers leave one that has ended */
  id: z.string(),
  host: z.string(),
  size: z.int(),
  partSeconds: z.number(),
  parts: z.int(),
  exchange: z.enum(exchanges),
  roundTrip: z.number(),
})
type Job = z.infer<typeof jobSchema>

/** Sleeps in place of computing a gradient. */
const partOf = ({ size: numbers, partSeconds }: Job): (() => Promise<PartGradient>) => {
  const gradient = Float32Array.from(normals(1, 'initialization', 0, numbers))
  return async () => {
    await sleep(1_000 * partSeconds)
    return { gradient, tokens: 1, results: {} }
  }
}

const redisPort = 6379

const lead = async (job: Job): Promise<void> => {
  const signal = new AbortController().signal
  const client = await openRedis(`redis://${job.host}:${redisPort}`, { signal, onEvent: () => undefined })
  const { id, exchange, parts } = job
  const leader = await openLeader({ client, id, leader: 'leader', isGone: () => true, setup: '{}', dtype: 'float32', exchange })
  const [compute, parameters] = [partOf(job), Float32Array.from(normals(2, 'initialization', 0, job.size))]
  const seconds: number[] = []
  for (let step = 0; step < warmUp + measured; step++) {
    const began = performance.now()
    const progress = { step, steps: warmUp + measured }
    await leader.executor({ step, phase: null, progress, parameters, parts, compute, layout: { size: job.size, entries: [], blocks: [] } })
    seconds.push((performance.now() - began) / 1_000)
  }
  await leader.close()
  console.log(JSON.stringify(seconds.slice(warmUp)))
}

const work = async (job: Job): Promise<void> => {
  const signal = new AbortController().signal
  const delay = await openDelay(job.host, redisPort, job.roundTrip / 2)
  const client = await openRedis(`redis://127.0.0.1:${delay.port}`, { signal, onEvent: () => undefined })
  const computer = { open: async () => undefined, compute: partOf(job) }
  const parts = { gradients: computer, rounds: computer, answers: computer, release: async () => undefined }
  await computeParts({ client, id: job.id, worker: `worker ${process.pid}`, dtype: 'float32', parts, signal, onPart: () => undefined })
  client.disconnect()
  delay.server.close()
}

const program = fileURLToPath(import.meta.url)

const running = new Set<ChildProcess>()

/** Runs a process on a machine. @returns what it prints */
const processOn = async (machines: Machines, machine: number, job: Job): Promise<string> => {
  const [command, args] = machines.on(machine, process.execPath, program, JSON.stringify(job))
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  running.add(child)
  let printed = ''
  child.stdout.on('data', (text: Buffer) => {
    printed += text.toString()
  })
  await once(child, 'close')
  running.delete(child)
  return printed
}

/** Median seconds of a step. */
const measure = async (machines: Machines, count: number, job: Omit<Job, 'role'>): Promise<number> => {
  const workers = Array.from({ length: count - 1 }, (_, i) => processOn(machines, i + 1, { ...job, role: 'worker' }))
  await sleep(2_000) // they are connected, and look for a step
  const seconds = JSON.parse(await processOn(machines, 0, { ...job, role: 'leader' })) as ReadonlyArray<number>
  await Promise.all(workers)
  return [...seconds].sort((a, b) => a - b)[Math.floor(seconds.length / 2)] ?? NaN
}

const stepOn = (link: Network, machines: number, partSeconds: number, exchange: Exchange): NetworkStep => ({
  ...{ machines, partSeconds, parts: partsPerMachine * machines, costs: exchangeCosts[exchange] },
  parameterBytes: byteLengthOf(size, 'float32', 'float32'),
  gradientBytes: byteLengthOf(size, 'float32', exchange),
  bandwidth: (link.megabits * 1e6) / 8,
  roundTrip: link.roundTrip / 1_000,
})

const percent = (share: number): string => `${Math.round(100 * share)} %`

const main = async (): Promise<void> => {
  const machines = openMachines(4)
  const address = machines.address(0)
  const [command, args] = machines.on(0, 'redis-server', '--bind', address, '--protected-mode', 'no', '--save', '', '--appendonly', 'no')
  const redis = spawn(command, args, { stdio: 'ignore' })
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      for (const child of [redis, ...running]) child.kill('SIGKILL')
      machines.remove()
      process.exit(1)
    })
  try {
    console.log('| network | part | exchange | 2 machines | model | 4 machines | model | 8 | 16 | 32 | 64 |')
    console.log('| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |')
    for (const link of networks) {
      machines.shape(link)
      for (const partSeconds of times)
        for (const exchange of exchanges) {
          const cells: string[] = []
          for (const count of [2, 4]) {
            const step = stepOn(link, count, partSeconds, exchange)
            const job = {
              id: `${link.megabits}-${link.roundTrip}-${partSeconds}-${exchange}-${count}`,
              host: address,
              size,
              partSeconds,
              parts: step.parts,
              exchange,
              roundTrip: link.roundTrip,
            }
            const seconds = await measure(machines, count, job)
            console.error(`${link.name}, ${count} machines: ${seconds.toFixed(2)} s, the model ${stepSeconds(step).toFixed(2)} s`)
            cells.push(percent(efficiency(step, seconds)), percent(efficiency(step)))
          }
          const more = [8, 16, 32, 64].map((count) => percent(efficiency(stepOn(link, count, partSeconds, exchange))))
          console.log(`| ${[link.name, `${partSeconds} s`, exchange, ...cells, ...more].join(' | ')} |`)
        }
    }
  } finally {
    redis.kill('SIGKILL')
    machines.remove()
  }
}

const [given] = process.argv.slice(2)
if (given === undefined) await main()
else {
  const job = jobSchema.parse(JSON.parse(given))
  await (job.role === 'leader' ? lead(job) : work(job))
}
