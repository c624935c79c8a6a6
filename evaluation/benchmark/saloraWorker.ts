/** salora's side of a benchmark, a program: steps of train() on the requested batches. worker.ts describes its output. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { checkpointNumbers } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { packBatch } from '../../accelerated/models/packing.js'
import { causalLM, unlabeled } from '../../accelerated/objectives/causalLM.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { openFrozen } from '../../accelerated/precisions/precision.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { methodOf, parseSettings } from '../../accelerated/training/settings.js'
import { assemble, layoutOf } from '../../accelerated/training/assembly.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { openPhaseSessions } from '../../accelerated/training/phaseSessions.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import { inferenceStateOf } from '../../accelerated/training/evaluation.js'
import { startOfRun } from '../../accelerated/training/initialState.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { dimensionsOf, largestBatch } from '../../accelerated/training/batchFeeds.js'
import { versions } from '../../finetuning/runs/versions.js'
import type { BatchedExample } from './cases.js'
import { productCount } from './productCount.js'
import type { SideRequest } from './worker.js'

const request = JSON.parse(process.argv[2] ?? '{}') as SideRequest
const { method: name, steps, threads } = request
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
const precision = precisionOf(request.precision)
const base = await openModelFolder(request.model)
const frozen = await openFrozen(precision, base, request.model)
const method = methodOf(name)
// both objectives read the examples that they know
const assembly = assemble({ model: base.model, frozen: frozen.tensor, method, settings, precision }, (model) =>
  request.kind === 'decoder'
    ? (causalLM(model) as unknown as Objective<TrainingExample>)
    : (sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }) as unknown as Objective<TrainingExample>),
)
let state = await startOfRun(assembly, checkpointNumbers(base))
const layouts = { vectors: state, layoutOf: (phase: unknown) => layoutOf(assembly, phase), dtype: precision.dtype }
const next = method.phases.advance?.(state.phase, settings, { step: 0, steps }, layouts) ?? null
if (next !== null) state = { ...state, ...next.vectors, phase: next.phase }
const runtime = { engine: deviceOf('cpu').engine({ threads }), weights: frozen.weights }
const opened = await openPhaseSessions(assembly, state.phase, runtime, largestBatch(batches.flat(), settings.batchSize, 0))
let spare: Vector | null = null

const batchAt = (number: number) => batches[number % batches.length] ?? []
const step = async (batch: number): Promise<void> => {
  const progress = { step: state.step, steps }
  const context = { assembly, objective: assembly.objective, progress, learningRate: settings.learningRate, spare }
  const { state: after } = await trainStep(context, opened, state, [batchAt(batch)])
  spare = state.parameters
  state = after
}
const { outputs } = stepGraph(assembly, state.phase, 'whole')
const operationsOf = (batch: number): number => {
  const sizes = dimensionsOf(packBatch(batchAt(batch), 0, precision.dtype))
  return productCount(Object.values(outputs), { ...sizes, ...assembly.objective.dimensions?.(sizes['tokens'] ?? 0) })
}
const evaluate = async (): Promise<void> => {
  const { phase, parameters } = inferenceStateOf(assembly, state)
  const predictor = await openPredictor(assembly, assembly.objective, phase, runtime, { prepack: false })
  await predictor.predict(parameters, batchesOf(request.evaluation ?? '').flat(), settings.batchSize)
  await predictor.release()
}
const say = (fact: object): void => {
  process.stdout.write(`${JSON.stringify(fact)}\n`)
}

await step(0)
say({ versions: { salora: versions['salora'], 'onnxruntime-node': versions['onnxruntime-node'] } })
for await (const line of createInterface(process.stdin)) {
  const began = performance.now()
  await (line === 'evaluate' ? evaluate() : step(Number(line)))
  const milliseconds = performance.now() - began
  say(line === 'evaluate' ? { milliseconds } : { milliseconds, operations: operationsOf(Number(line)) })
}
say({ peakBytes: process.resourceUsage().maxRSS * 1024 })
