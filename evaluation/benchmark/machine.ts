/**
 * A benchmark of this machine: training steps of LoRA and SaLoRA in turn on RoBERTa-base's shape. It also times one large product of a step.
 * Steps are those of train(), with batches, feeds and state.
 */
import { median } from 'simple-statistics'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { evenCase } from './cases.js'
import { openProduct } from './productRates.js'
import { randomModel, smallVocabulary } from './randomModel.js'
import { openSteppedRun, type SteppedRun } from './steppedRun.js'

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
type Rate = { readonly milliseconds: number; readonly gigaflops: number }
export type StepRate = Rate & {
  /** of the single product's rate */
  readonly share: number
  readonly tokensPerSecond: number
  readonly operations: number
}
export type BenchmarkResult = BenchmarkOptions & {
  readonly product: Rate & { readonly shape: string }
  readonly lora: StepRate
  readonly salora: StepRate
  /** SaLoRA's step over LoRA's: the median of each pair that ran one after the other */
  readonly ratio: number
  /** of this process after two steps of SaLoRA, before LoRA is there too */
  readonly residentBytes: number
}

const warmUp = 2 // steps that open sessions and touch memory for the first time

const steps = 1_000_000 // more than are taken, so that no run ends or evaluates

/** @throws DeviceError where the device does not work here */
export const benchmark = async (options: BenchmarkOptions, note: (line: string) => void = () => undefined): Promise<BenchmarkResult> => {
  const { layers, sequence } = options
  const device = await chooseDevice(options.device)
  await checkDevice(findPrecision(options.precision), device)
  note('writing a random model …')
  const { folder, remove } = await randomModel({ layers, sequence, vocabulary: smallVocabulary })
  try {
    return await measured(options, device, folder, note)
  } finally {
    remove()
  }
}

const measured = async (
  options: BenchmarkOptions,
  device: Device,
  folder: string,
  note: (line: string) => void,
): Promise<BenchmarkResult> => {
  const { batchSize, sequence, repeats, threads, precision, gradientCheckpointing } = options
  const engine = device.engine({ threads })
  const tokens = batchSize * sequence
  const { batches } = evenCase(batchSize, sequence, smallVocabulary)
  const openMethod = async (method: 'salora' | 'lora', name: string): Promise<SteppedRun> => {
    const settings = { method, precision, gradientCheckpointing, maxLength: sequence, dropout: 0 }
    const run = await openSteppedRun({ folder, engine, kind: 'encoder', steps, settings, batches })
    note(`${name}: first steps …`)
    for (let i = 0; i < warmUp; i++) await run.step(0)
    return run
  }
  const gated = await openMethod('salora', 'SaLoRA')
  const residentBytes = process.memoryUsage.rss()
  const plain = await openMethod('lora', 'LoRA')
  const product = await openProduct(engine, 4 * tokens) // of four batches: its rate is an upper bound for a step
  const times: Readonly<Record<'product' | 'lora' | 'salora', number>>[] = []
  for (let i = 1; i <= repeats; i++) {
    const time = { product: await product.run(), lora: await timedStep(plain), salora: await timedStep(gated) }
    times.push(time)
    note(
      `repeat ${i}/${repeats}: product ${time.product.toFixed(0)} ms, LoRA ${time.lora.toFixed(0)} ms, SaLoRA ${time.salora.toFixed(0)} ms`,
    )
  }
  const rate = (name: 'product' | 'lora' | 'salora', operations: number) => {
    const milliseconds = median(times.map((time) => time[name]))
    return { milliseconds, gigaflops: operations / milliseconds / 1e6 }
  }
  const productRate = { shape: product.shape, ...rate('product', product.operations) }
  const stepRate = (name: 'lora' | 'salora', operations: number): StepRate => {
    const { milliseconds, gigaflops } = rate(name, operations)
    const share = gigaflops / productRate.gigaflops
    return { milliseconds, operations, gigaflops, share, tokensPerSecond: (1000 * tokens) / milliseconds }
  }
  for (const { release } of [gated, plain, product]) await release()
  return {
    ...options,
    device: device.name,
    residentBytes,
    product: productRate,
    lora: stepRate('lora', plain.operations(0)),
    salora: stepRate('salora', gated.operations(0)),
    ratio: median(times.map((time) => time.salora / time.lora)),
  }
}

const timedStep = async ({ step }: SteppedRun): Promise<number> => {
  const began = performance.now()
  await step(0)
  return performance.now() - began
}
