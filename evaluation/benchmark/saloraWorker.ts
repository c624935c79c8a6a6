/** salora's side of a benchmark, a program: steps of train() on the requested batches. worker.ts describes its output. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { chooseDevice, deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { reason } from '../../accelerated/errors/inputError.js'
import { checkDevice, openFrozen } from '../../accelerated/precisions/precision.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { versions } from '../../finetuning/run/versions.js'
import type { BenchmarkCase } from './cases.js'
import { openSteppedRun } from './steppedRun.js'
import type { SideRequest } from './worker.js'

process.on('uncaughtException', (thrown) => {
  process.stderr.write(`${reason(thrown)}\n`)
  process.exit(1)
})
const request = JSON.parse(process.argv[2] ?? '{}') as SideRequest
const { method, precision, dropout, threads, kind, steps, device = 'cpu', tf32 = false } = request
const readBatches = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as BenchmarkCase['batches']
const writeLine = (fact: object): void => {
  process.stdout.write(`${JSON.stringify(fact)}\n`)
}
const chosen = device === 'cpu' && !tf32 ? deviceOf(device) : await chooseDevice(device, { tf32 }) // which takes time to probe it
await checkDevice(precisionOf(precision), chosen)
const base = await openModelFolder(request.model)
const { step, operations, evaluate } = await openSteppedRun({
  ...{ base, kind, steps },
  frozen: await openFrozen(precisionOf(precision), base, request.model),
  engine: chosen.engine({ threads, tf32 }),
  settings: { method, precision, dropout, threads, warmupRatio: 0 },
  batches: readBatches(request.batches),
})

await step(0)
writeLine({ versions: { salora: versions['salora'], 'onnxruntime-node': versions['onnxruntime-node'] } })
for await (const line of createInterface(process.stdin)) {
  const began = performance.now()
  await (line === 'evaluate' ? evaluate(readBatches(request.evaluation ?? '')) : step(Number(line)))
  const milliseconds = performance.now() - began
  writeLine(line === 'evaluate' ? { milliseconds } : { milliseconds, operations: operations(Number(line)) })
}
writeLine({ peakBytes: process.resourceUsage().maxRSS * 1024 })
