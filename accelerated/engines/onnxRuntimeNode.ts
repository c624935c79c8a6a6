/** The engine of Node: ONNX Runtime's binding. The only file that runs it. */
import type { InferenceSession, Tensor } from 'onnxruntime-node'
import { toOnnx } from '../graph/onnx.js'
import type { DType, Expression } from '../graph/expression.js'
import { topologicalOrder } from '../graph/expression.js'
import type { Device } from './devices/device.js'
import type { Engine, Session } from './engine.js'
import type { Feed, Feeds, NumericArray } from './feeds.js'
import { guardNativeCall } from './nativeCallGuard.js'
import { onnxRuntime, type OnnxRuntime } from './loadOnnxRuntime.js'

type Outputs = Readonly<Record<string, Expression>>

export type NodeSettings = {
  readonly device: Device
  /** threads of the CPU provider; 0 lets ONNX Runtime choose */
  readonly threads: number
  /** how the files begin into which a session writes, as it is released, how long each node of its graph took */
  readonly profile?: string
}

export const nodeEngine = (settings: NodeSettings): Engine => ({
  open: async (outputs, weights, use) => {
    const folder = bytesOf(topologicalOrder(Object.values(outputs))) > 0 ? await weights() : null
    const rooms: OutputBuffers | null = settings.device.preallocatedOutputs
      ? use === 'stepwise'
        ? (into) => into
        : outputBuffers(outputs)
      : null
    const ort = await onnxRuntime()
    const model = toOnnx(outputs, settings.device.target, rooms === null ? undefined : notATensor)
    const options = sessionOptions(settings, folder, { sparing: spares(outputs, use), stepwise: use === 'stepwise' })
    const session = await guardNativeCall(() => ort.InferenceSession.create(model, options))
    return rooms === null ? sessionOf(ort, session) : sessionInPlace(ort, session, rooms, fedBack(outputs))
  },
})

/** Opens an ONNX model from disk; ONNX Runtime itself finds the weight files beside it. */
export const openModelFile = async (file: string, settings: NodeSettings): Promise<Session> => {
  const ort = await onnxRuntime()
  return sessionOf(ort, await guardNativeCall(() => ort.InferenceSession.create(file, sessionOptions(settings))))
}

/** Providers of this build of ONNX Runtime, by their names for it. */
export const bundledProviders = async (): Promise<ReadonlyArray<string>> =>
  (await onnxRuntime()).listSupportedBackends().map(({ name }) => name)

/** Half a gigabyte: from here on, memory is worth more than the 8 % of a step's time that copies of the weights in another order save. */
const largeWeights = 2 ** 29

/** Whether a session of this graph keeps each weight once, as its file has it, and none in the order that suits its products. */
export const spares = (outputs: Outputs, use?: 'sparing' | 'stepwise'): boolean => {
  const order = topologicalOrder(Object.values(outputs))
  return order.some(({ op }) => op === 'Turned') || (use === 'sparing' && bytesOf(order) >= largeWeights)
}

const bytesOf = (order: ReadonlyArray<Expression>): number =>
  order.reduce((sum, { attributes }) => sum + (attributes.external?.length ?? 0), 0)

const unwanted = [
  'QuickGeluFusion', // It makes of x · σ(x) a node that the CPU has in float32 alone, and then refuses the graph in float64.
  'DivMulFusion', // It rounds y · (1 / x) otherwise where nothing else reads 1 / x, as where its gradient is recomputed.
]

/** It keeps what it makes of weights, by Cast or Transpose, as long as the session. */
const folding = 'ConstantFolding'

/** @param folder of the weights: ONNX Runtime maps the files into memory, where `externalData` would have each session copy them. */
const sessionOptions = (
  { device, threads, profile }: NodeSettings,
  folder: string | null = null,
  { sparing, stepwise } = { sparing: false, stepwise: false },
): InferenceSession.SessionOptions => ({
  executionProviders: [device.provider],
  ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
  // A memory pattern is a plan for one batch shape; ours differ, and at RoBERTa-base's size it holds 1.1 GB more for no speed.
  enableMemPattern: false,
  extra: {
    optimization: { disable_specified_optimizers: [...unwanted, ...(sparing ? [folding] : [])].join(';') },
    session: {
      ...(folder === null ? {} : { model_external_initializers_file_folder_path: folder }),
      ...(sparing ? { disable_prepacking: '1' } : {}),
      // A step of decoding is hundreds of small products: threads that wait by spinning cost as much as the work, and on a busy machine half the speed.
      ...(stepwise ? { 'intra_op.allow_spinning': '0' } : {}),
    },
  },
  ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
  logSeverityLevel: 3,
})

const sessionOf = (ort: OnnxRuntime, session: InferenceSession): Session => ({
  inputs: session.inputNames,
  run: async (feeds) => {
    const results = await guardNativeCall(() => session.run(inputsOf(ort, session, feeds)))
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data as NumericArray]))
  },
  release: () => guardNativeCall(() => session.release()),
})

/** What the binding says of `notATensor`, and where. */
const notATensor = 'not a tensor'
const refusal = 'Non tensor type'

/** Memory for every output: the caller's where there is some, else new. */
type OutputBuffers = (into: Readonly<Record<string, Feed>>) => Readonly<Record<string, Feed>>

/** Whether results are written into memory of the caller's. */
export const writesInPlace = (outputs: Outputs): boolean => outputBuffers(outputs) !== null

/** Outputs that are inputs, under their own names: nothing computes them, so nothing writes into memory that is given for them. */
const fedBack = (outputs: Outputs): ReadonlyArray<string> =>
  Object.keys(outputs).filter((name) => outputs[name]?.op === 'Input' && outputs[name].attributes.name === name)

/** Null where an output's size is a batch's to say. */
const outputBuffers = (outputs: Outputs): OutputBuffers | null => {
  const fed = new Set(fedBack(outputs))
  const computed = Object.entries(outputs).filter(([name]) => !fed.has(name))
  const sizes = computed.map(([name, { shape, dtype }]) => ({ name, dtype, shape: shape.map(Number) }))
  const size = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)
  const isFixed = sizes.every(({ shape, dtype }) => !shape.some(Number.isNaN) && (dtype === 'float32' || dtype === 'float64'))
  if (!isFixed) return null
  const fresh = (shape: ReadonlyArray<number>, dtype: DType): Feed => ({
    shape,
    data: dtype === 'float64' ? new Float64Array(size(shape)) : new Float32Array(size(shape)),
  })
  return (into) => Object.fromEntries(sizes.map(({ name, shape, dtype }) => [name, into[name] ?? fresh(shape, dtype)]))
}

/**
 * The binding copies each result into memory of its own, even one that ONNX Runtime has just written into memory that we gave: 1.5 GB a step
 * of full fine-tuning, and what is new has to be cleared by the system first. It turns results into JavaScript's in order, though, and stops at
 * one that is no tensor; such a one comes first here.
 */
const sessionInPlace = (ort: OnnxRuntime, session: InferenceSession, rooms: OutputBuffers, fed: ReadonlyArray<string>): Session => ({
  inputs: session.inputNames,
  run: async (feeds, into = {}) => {
    const room = rooms(into)
    const fetches = Object.fromEntries(Object.entries(room).map(([name, feed]) => [name, toTensor(ort, feed)]))
    try {
      await guardNativeCall(() => session.run(inputsOf(ort, session, feeds), { [notATensor]: null, ...fetches }))
    } catch (error) {
      if (!(error instanceof Error && error.message.includes(refusal))) throw error
      const found = { ...room, ...Object.fromEntries(fed.map((name) => [name, feedOf(feeds, name)])) }
      return Object.fromEntries(Object.entries(found).map(([name, { data }]) => [name, data]))
    }
    throw new Error('sessionInPlace: expected the binding to refuse a sequence, got it converted')
  },
  release: () => guardNativeCall(() => session.release()),
})

const inputsOf = (ort: OnnxRuntime, session: InferenceSession, feeds: Feeds): Readonly<Record<string, Tensor>> =>
  Object.fromEntries(session.inputNames.map((name) => [name, toTensor(ort, feedOf(feeds, name))]))

const feedOf = (feeds: Feeds, name: string): Feed => {
  const feed = feeds[name]
  if (feed === undefined) throw new Error(`run: expected a feed for input ${name}, got none`)
  return feed
}

const toTensor = ({ Tensor: Numbers }: OnnxRuntime, { data, shape }: Feed): Tensor => {
  if (data instanceof Float64Array) return new Numbers('float64', data, shape)
  if (data instanceof Int32Array) return new Numbers('int32', data, shape)
  if (data instanceof BigInt64Array) return new Numbers('int64', data, shape)
  return new Numbers('float32', data, shape)
}
