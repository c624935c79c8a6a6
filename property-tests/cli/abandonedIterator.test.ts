/** Leaving the loop over a run's events ends its thread but not the process. Termination during a call of ONNX Runtime would abort the process. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { waitUntilIdle, callCount } from '../../accelerated/engines/nativeCallGuard.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { salora } from './spawnSalora.js'

const { folder: cwd } = temporaryFolder('left')

const library = join(import.meta.dirname, '../../dist/index.js')

/** The first n steps of a run, and then something else. */
const leaving = (steps: number): string => `
import { readdirSync, readlinkSync } from 'node:fs'
import { embeddedModel, finetune, resolveSettings } from ${JSON.stringify(library)}
const settings = resolveSettings({ maxSteps: 24, batchSize: 32, threads: 1, saveSteps: 2 })
let seen = 0
for await (const { kind } of finetune({ model: embeddedModel, task: { task: 'sentiment' }, output: 'left-${steps}', resume: false, settings }))
  if (kind === 'step' && ++seen === ${steps}) break
await new Promise((resolve) => setTimeout(resolve, 200))
const opened = process.platform !== 'linux' ? [] : readdirSync('/proc/self/fd').map((name) => {
  try { return readlinkSync('/proc/self/fd/' + name) } catch { return '' }
})
console.log('alive', opened.filter((path) => path.includes('left-${steps}')).join())
`

describe('leaving the loop over the events of a run', () => {
  it('ends the training thread but not the process, leaves no file open, and the run can be resumed', async () => {
    const left = [3, 4, 5, 6, 7, 8].map(async (steps) => {
      await writeFile(join(cwd, `${steps}.mjs`), leaving(steps))
      const child = spawn(process.execPath, [`${steps}.mjs`], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
      const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
      return { steps, code, signal, output }
    })
    for (const { steps, ...ended } of await Promise.all(left))
      expect(ended, String(steps)).toEqual({ code: 0, signal: null, output: 'alive \n' })
    const resumed = await salora(['train', '--output', 'left-5', '--resume', '--quiet', '--json'], { cwd })
    expect(resumed.code, resumed.stderr).toBe(0)
    expect(JSON.parse(resumed.stdout)).toMatchObject({ interrupted: false, stepsDone: 24 })
  }, 120_000)
})

/** A thread that says when it is in a call, for as long as the main thread likes, and when it is in the next. */
const thread = `
const { parentPort, workerData } = require('node:worker_threads')
import(workerData.module).then(({ countCalls, guardNativeCall }) => {
  countCalls(workerData.calls)
  const gate = new Int32Array(workerData.gate)
  const call = () => guardNativeCall(async () => { parentPort.postMessage('in'); Atomics.wait(gate, 0, 0) })
  call().then(() => { Atomics.store(gate, 0, 0); parentPort.postMessage('out'); setTimeout(call, 50) })
})
`

describe('ending a thread that calls native code', () => {
  it('waits for the end of the current call, and prevents the next one', async () => {
    const [calls, gate] = [callCount(), new SharedArrayBuffer(4)]
    const module = join(import.meta.dirname, '../../dist/accelerated/engines/nativeCallGuard.js')
    const worker = new Worker(thread, { eval: true, workerData: { calls, gate, module } })
    const signals: string[] = []
    worker.on('message', (text: string) => signals.push(text))
    await once(worker, 'message')
    let over = false
    const waiting = waitUntilIdle(calls, () => true).then((may) => {
      over = may
    })
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect([over, signals]).toEqual([false, ['in']])
    Atomics.store(new Int32Array(gate), 0, 1)
    Atomics.notify(new Int32Array(gate), 0)
    await waiting
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect([over, signals]).toEqual([true, ['in', 'out']])
    await worker.terminate()
    expect(await waitUntilIdle(callCount(), () => false)).toBe(false)
  })
})
