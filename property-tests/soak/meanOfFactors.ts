/**
 * How far mean(B) · mean(A) is from mean(B · A) when rounds end: LoRA on the embedded model, four replicas. It prints the Frobenius norm of the
 * difference over that of the round's mean update, of all matrices together.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ParameterLayout } from '../../accelerated/parameters/layout.js'
import { tensorOf, type Vector } from '../../accelerated/parameters/vectors.js'
import type { PartExecutor, PartGradient } from '../../accelerated/training/partGradient.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { nodeMachine } from '../../finetuning/nodeMachine.js'
import { prepareRun } from '../../finetuning/recipe.js'
import { resolveRunOptions } from '../../finetuning/runs/run.js'

/** Steps of a round, and of the run: `node dist/property-tests/soak/meanOfFactors.js 8 64` */
const [syncEvery, maxSteps] = [Number(process.argv[2] ?? 8), Number(process.argv[3] ?? 64)]

/** B · A of a matrix, as [d × k]. */
const productOf = (layout: ParameterLayout, vector: Vector, matrix: string): Float64Array => {
  const [b, a] = [tensorOf(layout, vector, `${matrix}.B`), tensorOf(layout, vector, `${matrix}.A`)]
  const rank = layout.entries.find(({ name }) => name === `${matrix}.A`)?.shape[0] ?? NaN
  const [rows, columns] = [b.length / rank, a.length / rank]
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns]
    let sum = 0
    for (let i = 0; i < rank; i++) sum += (b[row * rank + i] ?? 0) * (a[i * columns + column] ?? 0)
    return sum
  })
}

const meanOf = (vectors: ReadonlyArray<ArrayLike<number>>): Float64Array =>
  Float64Array.from({ length: vectors[0]?.length ?? 0 }, (_, i) => vectors.reduce((sum, x) => sum + (x[i] ?? 0), 0) / vectors.length)

const squares = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + (x - (b[i] ?? 0)) ** 2, 0)

const ratioOf = (layout: ParameterLayout, before: Vector, parts: ReadonlyArray<PartGradient>): number => {
  const after = parts.map(({ gradient }) => Float64Array.from(before, (x, i) => x - (gradient[i] ?? 0)))
  const mean = meanOf(after)
  let [missed, moved] = [0, 0]
  for (const matrix of layout.entries.flatMap(({ name }) => (name.endsWith('.A') ? [name.slice(0, -2)] : []))) {
    const products = meanOf(after.map((vector) => productOf(layout, vector, matrix)))
    missed += squares(productOf(layout, mean, matrix), products)
    moved += squares(productOf(layout, before, matrix), products)
  }
  return Math.sqrt(missed / moved)
}

const output = await mkdtemp(join(tmpdir(), 'salora-factors-'))
const settings = {
  method: 'lora',
  gradientAccumulationSteps: 4,
  batchSize: 8,
  syncEvery,
  maxSteps,
  evalSteps: maxSteps,
  maxLength: 64,
  threads: 1,
} as const
const options = resolveRunOptions({ model: embeddedModel, task: { task: 'sentiment' }, settings, output })
const { signal } = new AbortController()
const preparing = prepareRun({ options, metric: null }, nodeMachine, signal)
let prepared = await preparing.next()
while (prepared.done !== true) prepared = await preparing.next()
const executor: PartExecutor = async ({ step, layout, parameters, parts, compute }) => {
  const computed: PartGradient[] = []
  for (let part = 0; part < parts; part++) computed.push(await compute(part))
  console.log(`round from step ${step}: ${(100 * ratioOf(layout, parameters, computed)).toFixed(2)} %`)
  return computed
}
const { task, start } = prepared.value
const run = train({ ...task, executor }, start, null, signal)
while ((await run.next()).done !== true);
await rm(output, { recursive: true })
