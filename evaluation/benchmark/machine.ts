/**
 * A benchmark of this machine: training steps of LoRA and SaLoRA in turn on RoBERTa-base's shape. It also times one large product of a step.
 * Steps are those of train(), with batches, feeds and state.
 */
import { checkpointNumbers, frozenWeights, weightSource } from '../../accelerated/checkpoints/frozenWeights.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { input, matMul } from '../../accelerated/graph/operators.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import type { Settings } from '../../accelerated/training/settings.js'
import { methodOf, resolveSettings } from '../../accelerated/training/settings.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { assemble, layoutOf, type Assembly } from '../../accelerated/training/assembly.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import type { CheckpointNumbers } from '../../accelerated/parameters/layout.js'
import type { Runtime } from '../../accelerated/training/phaseSessions.js'
import { checkDevice, openFrozen } from '../../accelerated/precisions/precision.js'
import { uniforms } from '../../accelerated/parameters/random.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { startOfRun } from '../../accelerated/training/initialState.js'
import { benchmarkModel, smallVocabulary } from './model.js'
import { productCount } from './productCount.js'

export type BenchmarkOptions = {
  readonly device: string
  readonly layers: number
  readonly batchSize: number
  /** tokens of each example; there is no padding */
  readonly sequence: number
  readonly repeats: number
  readonly threads: number
  /** of the frozen weights */
  readonly precision: string
  /** the values of layers, for their gradients */
  readonly gradientCheckpointing: boolean
}

/** Times are medians over the repeats, in milliseconds; rates in 10⁹ floating-point operations a second, of matrix products alone. */
export type StepRate = {
  readonly milliseconds: number
  readonly gigaflops: number
  /** of the single product's rate */
  readonly share: number
  readonly tokensPerSecond: number
  readonly operations: number
}
export type BenchmarkResult = BenchmarkOptions & {
  readonly product: { readonly shape: string; readonly milliseconds: number; readonly gigaflops: number }
  readonly lora: StepRate
  readonly salora: StepRate
  /** SaLoRA's step over LoRA's: the median of each pair that ran one after the other */
  readonly ratio: number
  /** of this process after two steps of SaLoRA, before LoRA is there too */
  readonly residentBytes: number
}

const warmUp = 2 // steps that open sessions and touch memory for the first time

/** @throws DeviceError where the device does not work here */
export const benchmark = async (options: BenchmarkOptions, note: (line: string) => void = () => undefined): Promise<BenchmarkResult> => {
  const { layers, sequence } = options
  const device = await chooseDevice(options.device)
  await checkDevice(precisionOf(options.precision), device)
  note('writing a random model …')
  const { folder, remove } = await benchmarkModel({ layers, sequence, vocabulary: smallVocabulary })
  try {
    return await measured({ ...options, device }, await openModelFolder(folder), note)
  } finally {
    remove()
  }
}

const measured = async (
  options: Omit<BenchmarkOptions, 'device'> & { readonly device: Device },
  model: ModelFolder,
  note: (line: string) => void,
): Promise<BenchmarkResult> => {
  const { device, batchSize, sequence, repeats, threads } = options
  const engine = device.engine({ threads })
  const precision = precisionOf(options.precision)
  const frozen = await openFrozen(precision, model, model.folder) // which is removed with the model
  const session: Runtime = { engine, weights: frozen.weights }
  const parts = { model: model.model, frozen: frozen.tensor, precision, numbers: checkpointNumbers(model) }
  const gated = await openRun(parts, session, settingsOf('salora', options))
  note('SaLoRA: first steps …')
  for (let i = 0; i < warmUp; i++) await gated.step()
  const residentBytes = process.memoryUsage.rss()
  const plain = await openRun(parts, session, settingsOf('lora', options))
  note('LoRA: first steps …')
  for (let i = 0; i < warmUp; i++) await plain.step()
  const product = await openProduct(model, { engine, weights: weightSource(model) }, batchSize * sequence)
  await product.run()
  const times: { readonly product: number; readonly lora: number; readonly salora: number }[] = []
  for (let i = 0; i < repeats; i++) {
    times.push({ product: await product.run(), lora: await plain.step(), salora: await gated.step() })
    note(
      `repeat ${i + 1}/${repeats}: product ${times[i]?.product.toFixed(0)} ms, LoRA ${times[i]?.lora.toFixed(0)} ms, SaLoRA ${times[i]?.salora.toFixed(0)} ms`,
    )
  }
  for (const { release } of [gated, plain, product]) await release()

  const productTime = median(times.map((time) => time.product))
  const productRate = product.operations / productTime / 1e6
  const rateOf = (milliseconds: number, operations: number): StepRate => ({
    milliseconds,
    operations,
    gigaflops: operations / milliseconds / 1e6,
    share: operations / milliseconds / 1e6 / productRate,
    tokensPerSecond: (1000 * batchSize * sequence) / milliseconds,
  })
  return {
    ...options,
    device: device.name,
    residentBytes,
    product: { shape: product.shape, milliseconds: productTime, gigaflops: productRate },
    lora: rateOf(median(times.map((time) => time.lora)), plain.operations),
    salora: rateOf(median(times.map((time) => time.salora)), gated.operations),
    ratio: median(times.map((time) => time.salora / time.lora)),
  }
}

const steps = 1_000_000 // more than are taken, so that no run ends or evaluates

const settingsOf = (
  method: 'salora' | 'lora',
  { batchSize, sequence, gradientCheckpointing }: Pick<BenchmarkOptions, 'batchSize' | 'sequence' | 'gradientCheckpointing'>,
): Settings =>
  resolveSettings({
    method,
    batchSize,
    maxLength: sequence,
    gradientCheckpointing,
    dropout: 0,
    maxSteps: steps,
    evalSteps: steps,
    learningRate: 1e-5,
    ...(method === 'salora' ? { gateStart: 0, gateEnd: 1 } : {}),
  })

type BenchmarkParts = Pick<Assembly, 'model' | 'frozen' | 'precision'> & { readonly numbers: CheckpointNumbers }

/** A run of train(): `step` takes one step and gives its milliseconds. SaLoRA's gates are sampled from the first step on. */
const openRun = async ({ numbers, ...parts }: BenchmarkParts, runtime: Runtime, settings: Settings) => {
  const { batchSize: batch, maxLength } = settings
  const [method, { precision }] = [methodOf(settings.method), parts]
  const assembly = assemble({ ...parts, method, settings }, (model) =>
    sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }),
  )
  const start = await startOfRun(assembly, numbers)
  const ids = uniforms(1, 'order', 0, batch * maxLength)
  const training = Array.from({ length: batch }, (_, row) => ({
    inputIds: Array.from(
      { length: maxLength },
      (__, column) => 5 + Math.floor((smallVocabulary - 5) * (ids[row * maxLength + column] ?? 0)),
    ),
    label: row % 2,
    row,
  }))
  const score = () => ({ scores: {}, selection: 0, constant: null })
  const run = train({ ...assembly, runtime, training, evaluation: [], score }, start, null, new AbortController().signal)
  await run.next() // 'start'
  const clock = { step: 0, steps }
  const layouts = { vectors: start, layoutOf: (phase: unknown) => layoutOf(assembly, phase), dtype: precision.dtype }
  const phase = method.phases.advance?.(start.phase, settings, clock, layouts)?.phase ?? start.phase
  const { outputs } = stepGraph(assembly, phase, 'whole')
  return {
    operations: productCount(Object.values(outputs), { batch, sequence: maxLength, tokens: batch * maxLength }),
    step: () =>
      milliseconds(async () => {
        const event = await run.next()
        // before SaLoRA's first step, its phase is announced
        const { value } = event.done !== true && event.value.kind === 'phase' ? await run.next() : event
        if (value === undefined || !('kind' in value) || value.kind !== 'step')
          throw new Error('benchmark: expected a step of the run, got another event')
      }),
    release: async () => {
      await run.return(undefined as never)
    },
  }
}

/** Rows and runs of the single product: a rate needs work that lasts longer than waking a thread does. */
const [productRows, productRuns] = [4, 5]

/** A large product, whose rate is an upper bound for a step: intermediate states of four batches by the output matrix. Median of five runs. */
const openProduct = async (base: ModelFolder, { engine, weights }: Runtime, batchTokens: number) => {
  const tokens = productRows * batchTokens
  const name = 'encoder.layer.0.output.dense'
  const { d: hiddenSize, k: intermediateSize } = base.model.spec.matrices.find((matrix) => matrix.name === name) ?? { d: 0, k: 0 }
  const weight = frozenWeights(base, 'float32')(`${name}.weight`)
  const y = matMul(input('x', [tokens, intermediateSize], 'float32'), weight, { transposeB: true })
  const { run, release } = await engine.open({ y }, weights)
  const x = { data: Float32Array.from(uniforms(2, 'order', 0, tokens * intermediateSize)), shape: [tokens, intermediateSize] }
  return {
    operations: productCount([y], {}),
    shape: `${tokens} × ${intermediateSize} · ${intermediateSize} × ${hiddenSize}`,
    release,
    run: async () => {
      const times: number[] = []
      for (let i = 0; i < productRuns; i++) times.push(await milliseconds(() => run({ x })))
      return median(times)
    },
  }
}

const milliseconds = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await work()
  return performance.now() - began
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}
