/**
 * A benchmark of this machine: training steps of a model of RoBERTa-base's shape, LoRA and SaLoRA in turn, beside the rate of a single
 * large product of the kind that such a step contains. Steps are those of train(), batches, feeds and state included.
 */
import { rm } from 'node:fs/promises'
import type { ModelFolder } from '../accelerated/files/modelFolder.js'
import { openModelFolder } from '../accelerated/files/modelFolder.js'
import { frozenWeights, weightFiles } from '../accelerated/files/frozenWeights.js'
import { gateAdam } from '../accelerated/methods/salora/gateControl.js'
import { input, matMul } from '../accelerated/graph/operators.js'
import { noDropout } from '../accelerated/models/layers/dropout.js'
import { parameterLayout } from '../accelerated/training/parameterVector.js'
import { uniforms } from '../accelerated/training/random.js'
import { chooseDevice } from '../accelerated/runtime/deviceProbe.js'
import type { Device } from '../accelerated/runtime/devices.js'
import type { SessionSettings, WeightFile } from '../accelerated/runtime/session.js'
import { openSession } from '../accelerated/runtime/session.js'
import type { Gating } from '../accelerated/methods/salora/salora.js'
import { saloraObjective, saloraTrainables } from '../accelerated/methods/salora/salora.js'
import type { Settings } from '../accelerated/settings.js'
import { resolveSettings } from '../accelerated/settings.js'
import { adamw } from '../accelerated/training/adamwDefaults.js'
import { startOfRun } from '../accelerated/training/startOfRun.js'
import { train } from '../accelerated/training/train.js'
import { trainingStep } from '../accelerated/training/trainingStep.js'
import type { BenchmarkShape } from './benchmarkModel.js'
import { benchmarkVocabulary, writeBenchmarkModel } from './benchmarkModel.js'
import { productCount } from './productCount.js'

export type BenchmarkOptions = {
  readonly device: Device | 'auto'
  readonly layers: number
  readonly batchSize: number
  /** tokens of each example; there is no padding */
  readonly sequence: number
  readonly repeats: number
  readonly threads: number
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
  readonly device: Device
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
  const { layers, batchSize, sequence, repeats, threads } = options
  const device = await chooseDevice(options.device)
  note('writing a random model …')
  const { model, files } = await openRandomModel({ layers, sequence })
  const session: SessionSettings = { device, threads, weightFiles: files }
  const gated = await openRun(model, session, settingsOf('salora', batchSize, sequence))
  note('SaLoRA: first steps …')
  for (let i = 0; i < warmUp; i++) await gated.step()
  const residentBytes = process.memoryUsage.rss()
  const plain = await openRun(model, session, settingsOf('lora', batchSize, sequence))
  note('LoRA: first steps …')
  for (let i = 0; i < warmUp; i++) await plain.step()
  const product = await openProduct(model, session, batchSize * sequence)
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
    device,
    residentBytes,
    product: { shape: product.shape, milliseconds: productTime, gigaflops: productRate },
    lora: rateOf(median(times.map((time) => time.lora)), plain.operations),
    salora: rateOf(median(times.map((time) => time.salora)), gated.operations),
    ratio: median(times.map((time) => time.salora / time.lora)),
  }
}

/** Its bytes are in memory, as in any run, so the folder goes at once and an interrupted benchmark leaves nothing behind. */
const openRandomModel = async (
  shape: BenchmarkShape,
): Promise<{ readonly model: ModelFolder; readonly files: ReadonlyArray<WeightFile> }> => {
  const folder = await writeBenchmarkModel(shape)
  try {
    const model = await openModelFolder(folder)
    return { model, files: await weightFiles(model) }
  } finally {
    await rm(folder, { recursive: true })
  }
}

const steps = 1_000_000 // more than are taken, so that no run ends or evaluates

const settingsOf = (method: 'salora' | 'lora', batchSize: number, maxLength: number): Settings =>
  resolveSettings({
    method,
    batchSize,
    maxLength,
    dropout: 0,
    maxSteps: steps,
    evalEvery: steps,
    gateStart: 0,
    gateEnd: 1,
    learningRate: 1e-5,
  })

/** A run of train(): `step` takes one step and gives its milliseconds. SaLoRA's gates are sampled from the first step on. */
const openRun = async (model: ModelFolder, session: SessionSettings, settings: Settings) => {
  const start = await startOfRun(model, settings)
  const frozen = frozenWeights(model, 'float32')
  const ids = uniforms(1, 'order', 0, settings.batchSize * settings.maxLength)
  const training = Array.from({ length: settings.batchSize }, (_, row) => ({
    inputIds: Array.from(
      { length: settings.maxLength },
      (_, column) => 5 + Math.floor((benchmarkVocabulary - 5) * (ids[row * settings.maxLength + column] ?? 0)),
    ),
    label: row % 2,
    row,
  }))
  const run = train(
    {
      config: model.config,
      frozen,
      session,
      settings,
      training,
      evaluation: [],
      score: () => ({ scores: {}, selection: 0, constant: null }),
    },
    start,
    null,
    new AbortController().signal,
  )
  await run.next() // 'start'

  const gating: Gating = settings.method === 'salora' ? 'sampled' : 'open'
  const objective = saloraObjective(
    model.config,
    frozen,
    start.modules,
    {
      ...settings,
      scale: settings.alpha / settings.rank,
      beta: settings.method === 'salora' ? settings.beta : 0,
    },
    gating,
    noDropout,
    'float32',
  )
  const layout = parameterLayout(saloraTrainables(model.config, start.modules, gating))
  const graph = trainingStep(layout, objective, {
    ...adamw,
    gateAdam,
    weightDecay: settings.weightDecay,
    clip: null,
    lambdaOptimizer: 'adam',
  })
  const { batchSize: batch, maxLength: sequence } = settings
  return {
    operations: productCount(Object.values(graph), { batch, sequence, tokens: batch * sequence }),
    step: () =>
      milliseconds(async () => {
        const { value } = await run.next()
        if (value === undefined || !('kind' in value) || value.kind !== 'step')
          throw new Error('benchmark: expected a step of the run, found another event')
      }),
    release: async () => {
      await run.return(undefined as never)
    },
  }
}

/** Rows and runs of the single product: a rate needs work that lasts longer than waking a thread does. */
const [productRows, productRuns] = [4, 5]

/** A large product at the rate a step could at best have: intermediate states, of four batches together, by the output matrix; the median of five runs. */
const openProduct = async (model: ModelFolder, session: SessionSettings, batchTokens: number) => {
  const tokens = productRows * batchTokens
  const { hiddenSize, intermediateSize } = model.config
  const y = matMul(
    input('x', [tokens, intermediateSize], 'float32'),
    frozenWeights(model, 'float32')('encoder.layer.0.output.dense.weight'),
    { transposeB: true },
  )
  const { run, release } = await openSession({ y }, session)
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
