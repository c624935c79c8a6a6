/** The engine of Node: onnxruntime-node. No other file runs it. */
import type { InferenceSession } from 'onnxruntime-node'
import { toOnnx, type OnnxTarget } from '../graph/onnx.js'
import type { DType, Expression } from '../graph/expression.js'
import { topologicalOrder } from '../graph/expression.js'
import type { Engine, EngineSettings, OpenOptions, Session, WeightSource } from './engine.js'
import { idleOptimizers } from './idleOptimizers.js'
import type { Feed, Feeds, NumericArray } from './feeds.js'
import { guardNativeCall } from './nativeCallGuard.js'
import { onnxRuntime, type OnnxRuntime } from './loadOnnxRuntime.js'
import { canWriteIntoBuffers, runIntoBuffers, sentinelOutput, toTensor, type Tensors } from './writeIntoBuffers.js'

type Outputs = Readonly<Record<string, Expression>>

/** An execution provider of ONNX Runtime. */
export type Provider = {
  /** its name in ONNX Runtime, with its options */
  readonly provider: { readonly name: string } & Readonly<Record<string, unknown>>
  readonly target: OnnxTarget
  /** whether it writes results into buffers of the caller's */
  readonly preallocatedOutputs: boolean
}

/** Compiles and runs graphs on this execution provider. */
export const nodeEngine = (provider: Provider, settings: EngineSettings): Engine => ({
  cachedAttention: provider.target.cachedAttention === true,
  scan: provider.target.scan === true,
  open: async (outputs, weights, options = {}) => {
    const files = await weightFiles(outputs, weights)
    const ort = await onnxRuntime()
    const buffers = provider.preallocatedOutputs ? outputBuffers(outputs, options) : null
    const intoBuffers = buffers !== null && (await canWriteIntoBuffers(ort))
    const model = toOnnx(outputs, provider.target, intoBuffers ? sentinelOutput : undefined)
    const native = sessionOptions(provider, settings, {
      ...files,
      merges: !expandsLevels(outputs),
      prepacks: prepacks(outputs, options),
      spins: options.mode !== 'decode',
      fusesByNames: provider.target.namelessSizes !== true,
      ownGraph: true,
    })
    const session = await guardNativeCall(() => ort.InferenceSession.create(model, native))
    return intoBuffers ? bufferedSession(ort, session, buffers, passedThrough(outputs)) : copyingSession(ort, session)
  },
})

/** Opens an ONNX model from disk on the CPU; ONNX Runtime finds the weight files beside it. */
export const openModelFile = async (file: string, settings: EngineSettings): Promise<Session> => {
  const ort = await onnxRuntime()
  const options = sessionOptions({ provider: { name: 'cpu' } }, settings, {
    folder: null,
    externalData: [],
    prepacks: true,
    merges: true,
    spins: true,
    fusesByNames: true,
    ownGraph: false,
  })
  return copyingSession(ort, await guardNativeCall(() => ort.InferenceSession.create(file, options)))
}

/**
 * Half a gigabyte in float32. Above it, memory and a quick start are worth more than reordered copies of the weights. These save 8 % of
 * a step's time in float32, and 4 % in int8. A model is large or small whatever its precision: in int8, both orientations of a matrix take half of its float32 bytes.
 */
const largeWeights = 2 ** 29

/** Whether a session of this graph keeps float32 weights a second time, reordered for its products. */
export const prepacks = (outputs: Outputs, { prepack = true }: OpenOptions): boolean => {
  const order = topologicalOrder(Object.values(outputs))
  return !order.some(({ op }) => op === 'TransposedView' || op === 'FourBitMatMul') && (prepack || bytesInFloat32(order) < largeWeights)
}

const expandsLevels = (outputs: Outputs): boolean => topologicalOrder(Object.values(outputs)).some(({ op }) => op === 'FourBitMatMul')

const weightBytes = (order: ReadonlyArray<Expression>): number =>
  order.reduce((sum, { attributes }) => sum + (attributes.external?.length ?? 0), 0)

const bytesInFloat32 = (order: ReadonlyArray<Expression>): number =>
  weightBytes(order) + weightBytes(order.filter(({ op, dtype }) => op === 'Weight' && dtype === 'int8'))

const disabledOptimizers = [
  'QuickGeluFusion', // turns x · σ(x) into a node that the CPU provider has only in float32, and then refuses the graph in float64
  'DivMulFusion', // rounds y · (1 / x) differently if nothing else reads 1 / x, as in a recomputed layer
]

/** Fuses a product with the next sum if the names of sizes prove their shapes equal: in some sections of a graph only. */
const fusionByNames = 'MatMulAddFusion'

/** Keeps everything it computes from weights by Cast or Transpose for as long as the session lives. */
const constantFolding = 'ConstantFolding'

/** Would expand the levels of a matrix once for a layer and its gradient, and keep them in between. */
const merging = 'CommonSubexpressionElimination'

type ExternalData = { readonly path: string; readonly data: Uint8Array }
type WeightFiles = {
  /** ONNX Runtime maps the files of this folder into memory. */
  readonly folder: string | null
  /** The bytes of files that cannot be mapped. ONNX Runtime copies them for each session. */
  readonly externalData: ReadonlyArray<ExternalData>
}

const weightFiles = async (outputs: Outputs, weights: WeightSource): Promise<WeightFiles> => {
  const order = topologicalOrder(Object.values(outputs))
  if (weightBytes(order) === 0) return { folder: null, externalData: [] }
  const source = await weights()
  if (typeof source === 'string') return { folder: source, externalData: [] }
  const locations = new Set(order.flatMap(({ attributes }) => (attributes.external === undefined ? [] : [attributes.external.location])))
  return { folder: null, externalData: await Promise.all([...locations].map(async (path) => ({ path, data: await source(path) }))) }
}

type NativeOptions = WeightFiles & {
  readonly prepacks: boolean
  /** whether equal nodes become one */
  readonly merges: boolean
  readonly spins: boolean
  readonly fusesByNames: boolean
  /** whether salora wrote the graph for this session */
  readonly ownGraph: boolean
}

const sessionOptions = (
  { provider }: Pick<Provider, 'provider'>,
  { threads, profile }: EngineSettings,
  { folder, externalData, prepacks: reorders, merges, spins, fusesByNames, ownGraph }: NativeOptions,
): InferenceSession.SessionOptions => {
  const disabled = [
    ...disabledOptimizers,
    ...(reorders ? [] : [constantFolding]),
    ...(merges ? [] : [merging]),
    ...(fusesByNames ? [] : [fusionByNames]),
    ...(ownGraph ? idleOptimizers : []),
  ]
  return {
    executionProviders: [provider],
    ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
    // A memory pattern is a plan for one batch shape. Ours vary, and for RoBERTa-base it costs 1.1 GB without being faster.
    enableMemPattern: false,
    ...(externalData.length === 0 ? {} : { externalData }),
    extra: {
      optimization: { disable_specified_optimizers: disabled.join(';') },
      session: {
        ...(folder === null ? {} : { model_external_initializers_file_folder_path: folder }),
        ...(reorders ? {} : { disable_prepacking: '1' }),
        // A decoding step is hundreds of small products: spinning threads cost as much as the work, and halve the speed on a busy machine.
        ...(spins ? {} : { 'intra_op.allow_spinning': '0' }),
      },
    },
    ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
    logSeverityLevel: 3,
  }
}

const copyingSession = (ort: OnnxRuntime, session: InferenceSession): Session => ({
  inputs: session.inputNames,
  run: async (feeds) => {
    const results = await guardNativeCall(() => session.run(inputTensors(ort, session, feeds)))
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data as NumericArray]))
  },
  release: () => guardNativeCall(() => session.release()),
})

/** A buffer for every computed output: the caller's if there is one, else a new one. */
type OutputBuffers = (into: Readonly<Record<string, Feed>>) => Readonly<Record<string, Feed>>

const bufferedSession = (
  ort: OnnxRuntime,
  session: InferenceSession,
  buffers: OutputBuffers,
  unchanged: ReadonlyArray<string>,
): Session => ({
  inputs: session.inputNames,
  run: async (feeds, into = {}) => {
    const outputs = buffers(into)
    const fetches = Object.fromEntries(Object.entries(outputs).map(([name, feed]) => [name, toTensor(ort, feed)]))
    await runIntoBuffers(session, inputTensors(ort, session, feeds), fetches)
    const results = { ...outputs, ...Object.fromEntries(unchanged.map((name) => [name, feedOf(feeds, name)])) }
    return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data]))
  },
  release: () => guardNativeCall(() => session.release()),
})

/** Whether results can be written into buffers of the caller's: the size of every output is known before a run. */
export const hasFixedOutputs = (outputs: Outputs): boolean => outputBuffers(outputs, {}) !== null

/** Outputs that are inputs under their own names: nothing computes them, so nothing would write into a buffer for them. */
const passedThrough = (outputs: Outputs): ReadonlyArray<string> =>
  Object.keys(outputs).filter((name) => outputs[name]?.op === 'Input' && outputs[name].attributes.name === name)

/** Null if the size of an output depends on the batch and the caller does not bring all buffers. */
const outputBuffers = (outputs: Outputs, { mode }: OpenOptions): OutputBuffers | null => {
  if (mode === 'decode') return (into) => into
  const unchanged = new Set(passedThrough(outputs))
  const computed = Object.entries(outputs).filter(([name]) => !unchanged.has(name))
  const sizes = computed.map(([name, { shape, dtype }]) => ({ name, dtype, shape: shape.map(Number) }))
  const isFixed = sizes.every(({ shape, dtype }) => !shape.some(Number.isNaN) && (dtype === 'float32' || dtype === 'float64'))
  return isFixed ? (into) => Object.fromEntries(sizes.map(({ name, shape, dtype }) => [name, into[name] ?? newBuffer(shape, dtype)])) : null
}

const newBuffer = (shape: ReadonlyArray<number>, dtype: DType): Feed => {
  const size = shape.reduce((a, b) => a * b, 1)
  return { shape, data: dtype === 'float64' ? new Float64Array(size) : new Float32Array(size) }
}

const inputTensors = (ort: OnnxRuntime, session: InferenceSession, feeds: Feeds): Tensors =>
  Object.fromEntries(session.inputNames.map((name) => [name, toTensor(ort, feedOf(feeds, name))]))

const feedOf = (feeds: Feeds, name: string): Feed => {
  const feed = feeds[name]
  if (feed === undefined) throw new Error(`run: expected a feed for input ${name}, got none`)
  return feed
}
