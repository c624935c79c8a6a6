/** salora's side of a benchmark, a program: steps of train() on the requested batches. side.ts describes its output. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { reason } from '../../accelerated/errors/inputError.js'
import { versions } from '../../finetuning/run/versions.js'
import type { Batches } from './cases.js'
import type { SideRequest } from './side.js'
import { openSteppedRun } from './steppedRun.js'

process.on('uncaughtException', (thrown) => {
  process.stderr.write(`${reason(thrown)}\n`)
  process.exit(1)
})
const { model, kind, steps, batches, evaluation, method, precision, dropout, threads } = JSON.parse(process.argv[2] ?? '{}') as SideRequest
const readBatches = (file: string | null) => JSON.parse(readFileSync(file ?? '', 'utf8')) as Batches
const writeLine = (fact: object): void => {
  process.stdout.write(`${JSON.stringify(fact)}\n`)
}
const settings = { method, precision, dropout, threads, warmupRatio: 0 }
const engine = findDevice('cpu').engine({ threads })
const { step, operations, evaluate } = await openSteppedRun({ folder: model, engine, kind, steps, settings, batches: readBatches(batches) })

await step(0)
writeLine({ versions: { salora: versions['salora'], 'onnxruntime-node': versions['onnxruntime-node'] } })
for await (const line of createInterface(process.stdin)) {
  const began = performance.now()
  await (line === 'evaluate' ? evaluate(readBatches(evaluation)) : step(Number(line)))
  const milliseconds = performance.now() - began
  writeLine(line === 'evaluate' ? { milliseconds } : { milliseconds, operations: operations(Number(line)) })
}
writeLine({ peakBytes: process.resourceUsage().maxRSS * 1024 })
