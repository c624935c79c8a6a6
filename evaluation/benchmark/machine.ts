/**
 * A benchmark of this machine: training steps of LoRA and SaLoRA in turn on RoBERTa-base's shape. It also times one large product of a step.
 * Steps are those of train(), with batches, feeds and state.
 */
import { median } from 'simple-statistics'
import { frozenWeights, weightSource } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import type { Engine } from '../../accelerated/engines/engine.js'
import { input, matMul } from '../../accelerated/graph/operators.js'
import { uniforms } from '../../accelerated/parameters/random.js'
import { checkDevice, openFrozen } from '../../accelerated/precisions/precision.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { evenCase } from './cases.js'
import { benchmarkModel, smallVocabulary } from './model.js'
import { productCount } from './productRates.js'
import { openSteppedRun } from './steppedRun.js'

export type BenchmarkOptions = {
  readonly device: string
  readonly layers: number
  readonly batchSize: number
  /** tokens of each example; there is no padding */
  readonly sequence: number
  readonly repeats: number
  readonly threads: number
  /** the number of the card */
  readonly deviceId?: number
  /** whether products of float32 numbers use TF32 */
  readonly tf32?: boolean
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
  const device = await chooseDevice(options.device, options)
  await checkDevice(precisionOf(options.precision), device)
  note('writing a random model …')
  const { folder, remove } = await benchmarkModel({ layers, sequence, vocabulary: smallVocabulary })
  try {
    return await measured({ ...options, device }, await openModelFolder(folder), note)
  } finally {
    remove()
  }
}

type Measurement = { readonly milliseconds: number; readonly operations: number }
/** A timed operation, in turn with the others: a step of a method, or the product. */
type Timed = { readonly operations: number; readonly run: () => Promise<number>; readonly release: () => Promise<void> }

const measured = async (
  options: Omit<BenchmarkOptions, 'device'> & { readonly device: Device },
  base: ModelFolder,
  note: (line: string) => void,
): Promise<BenchmarkResult> => {
  const { device, batchSize, sequence, repeats, threads, precision, gradientCheckpointing, deviceId = 0, tf32 = false } = options
  const engine = device.engine({ threads, deviceId, tf32 })
  const frozen = await openFrozen(precisionOf(precision), base, base.folder) // which is removed with the model
  const { batches } = evenCase(batchSize, sequence, smallVocabulary)
  const openMethod = async (method: 'salora' | 'lora'): Promise<Timed> => {
    const settings = { method, precision, gradientCheckpointing, maxLength: sequence, dropout: 0 }
    const { step, operations, release } = await openSteppedRun({ base, frozen, engine, kind: 'encoder', steps, settings, batches })
    return { operations: operations(0), run: () => milliseconds(() => step(0)), release }
  }
  const gated = await openMethod('salora')
  note('SaLoRA: first steps …')
  for (let i = 0; i < warmUp; i++) await gated.run()
  const residentBytes = process.memoryUsage.rss()
  const plain = await openMethod('lora')
  note('LoRA: first steps …')
  for (let i = 0; i < warmUp; i++) await plain.run()
  const product = await openProduct(base, engine, batchSize * sequence)
  await product.run()
  const times: { readonly product: number; readonly lora: number; readonly salora: number }[] = []
  for (let i = 1; i <= repeats; i++) {
    const time = { product: await product.run(), lora: await plain.run(), salora: await gated.run() }
    times.push(time)
    note(
      `repeat ${i}/${repeats}: product ${time.product.toFixed(0)} ms, LoRA ${time.lora.toFixed(0)} ms, SaLoRA ${time.salora.toFixed(0)} ms`,
    )
  }
  for (const { release } of [gated, plain, product]) await release()
  const medianOf = (name: 'product' | 'lora' | 'salora') => median(times.map((time) => time[name]))
  const rateOf = stepRate({ milliseconds: medianOf('product'), operations: product.operations }, batchSize * sequence)
  return {
    ...options,
    device: device.name,
    residentBytes,
    product: { shape: product.shape, milliseconds: medianOf('product'), gigaflops: product.operations / medianOf('product') / 1e6 },
    lora: rateOf({ milliseconds: medianOf('lora'), operations: plain.operations }),
    salora: rateOf({ milliseconds: medianOf('salora'), operations: gated.operations }),
    ratio: median(times.map((time) => time.salora / time.lora)),
  }
}

/** The rate of a step of n tokens, beside the single product's. */
const stepRate =
  (product: Measurement, tokens: number) =>
  ({ milliseconds, operations }: Measurement): StepRate => ({
    milliseconds,
    operations,
    gigaflops: operations / milliseconds / 1e6,
    share: operations / milliseconds / (product.operations / product.milliseconds),
    tokensPerSecond: (1000 * tokens) / milliseconds,
  })

const steps = 1_000_000 // more than are taken, so that no run ends or evaluates

/** Rows and runs of the single product: a rate needs work that lasts longer than waking a thread does. */
const [productRows, productRuns] = [4, 5]

/** A large product, whose rate is an upper bound for a step: intermediate states of four batches by the output matrix. Median of five runs. */
const openProduct = async (base: ModelFolder, engine: Engine, batchTokens: number): Promise<Timed & { readonly shape: string }> => {
  const tokens = productRows * batchTokens
  const name = 'encoder.layer.0.output.dense'
  const { d: hiddenSize, k: intermediateSize } = base.model.spec.matrices.find((matrix) => matrix.name === name) ?? { d: 0, k: 0 }
  const weight = frozenWeights(base, 'float32')(`${name}.weight`)
  const y = matMul(input('x', [tokens, intermediateSize], 'float32'), weight, { transposeB: true })
  const { run, release } = await engine.open({ y }, weightSource(base))
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
