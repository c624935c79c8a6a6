/** salora's side of a benchmark, a program: steps of train() on the requested batches. worker.ts describes its output. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { chooseDevice, deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { reason } from '../../accelerated/errors/inputError.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { unlabeled } from '../../accelerated/objectives/labeledTokens.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { checkDevice, openFrozen } from '../../accelerated/precisions/precision.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { inferenceStateOf } from '../../accelerated/training/evaluation.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { parseSettings } from '../../accelerated/training/settings.js'
import { versions } from '../../finetuning/runs/versions.js'
import type { BatchedExample } from './cases.js'
import { steppedRun } from './steppedRun.js'
import type { SideRequest } from './worker.js'

const request = JSON.parse(process.argv[2] ?? '{}') as SideRequest
const { method: name, steps, threads, device = 'cpu', tf32 = false } = request
process.on('uncaughtException', (thrown) => {
  process.stderr.write(`${reason(thrown)}\n`)
  process.exit(1)
})
const batchesOf = (file: string) =>
  (JSON.parse(readFileSync(file, 'utf8')) as ReadonlyArray<ReadonlyArray<BatchedExample>>).map((batch) =>
    batch.map(({ inputIds, label }, row) => ({ inputIds, label, row, targets: [...inputIds.slice(1), unlabeled] })),
  )
const batches = batchesOf(request.batches)
const settings = parseSettings({
  method: name,
  maxSteps: steps,
  batchSize: Math.max(...batches.map(({ length }) => length)),
  learningRate: 1e-5,
  warmupRatio: 0,
  dropout: request.dropout,
  threads,
  precision: request.precision,
  ...(name === 'salora' ? { gateStart: 0, gateEnd: 1 } : {}),
})
const chosen = device === 'cpu' && !tf32 ? deviceOf(device) : await chooseDevice(device, { tf32 }) // which takes time to probe it
await checkDevice(precisionOf(request.precision), chosen)
const base = await openModelFolder(request.model)
const run = await steppedRun<TrainingExample>({
  base,
  frozen: await openFrozen(precisionOf(request.precision), base, request.model),
  settings,
  // both objectives read the examples that they know
  objectiveOf: (model) =>
    request.kind === 'decoder'
      ? (causalLM(model) as unknown as Objective<TrainingExample>)
      : (sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }) as unknown as Objective<TrainingExample>),
  engine: chosen.engine({ threads, tf32 }),
  steps,
  batches,
})
const { step, state } = await run.open()
const batchAt = (number: number) => batches[number % batches.length] ?? []
const evaluate = async (): Promise<void> => {
  const { assembly, runtime } = run
  const { phase, parameters } = inferenceStateOf(assembly, await state())
  const predictor = await openPredictor(assembly, assembly.objective, phase, runtime, { prepack: false })
  await predictor.predict(parameters, batchesOf(request.evaluation ?? '').flat(), settings.batchSize)
  await predictor.release()
}
const writeLine = (fact: object): void => {
  process.stdout.write(`${JSON.stringify(fact)}\n`)
}

await step(batchAt(0))
writeLine({ versions: { salora: versions['salora'], 'onnxruntime-node': versions['onnxruntime-node'] } })
for await (const line of createInterface(process.stdin)) {
  const began = performance.now()
  await (line === 'evaluate' ? evaluate() : step(batchAt(Number(line))))
  const milliseconds = performance.now() - began
  writeLine(line === 'evaluate' ? { milliseconds } : { milliseconds, operations: run.operationsOf(batchAt(Number(line))) })
}
writeLine({ peakBytes: process.resourceUsage().maxRSS * 1024 })
