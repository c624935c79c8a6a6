/** The engine of Node: ONNX Runtime's binding. The only file that runs it. */
import * as ort from 'onnxruntime-node'
import { toOnnx } from '../graph/onnx.js'
import { topologicalOrder } from '../graph/expression.js'
import type { Device } from './devices/device.js'
import type { Engine, Session } from './engine.js'
import type { Feed, NumericArray } from './feeds.js'

export type NodeSettings = {
  readonly device: Device
  /** threads of the CPU provider; 0 lets ONNX Runtime choose */
  readonly threads: number
}

export const nodeEngine = (settings: NodeSettings): Engine => ({
  open: async (outputs, weights) => {
    const hasWeights = topologicalOrder(Object.values(outputs)).some(({ op }) => op === 'Weight')
    const files = hasWeights ? await weights() : []
    const session = await ort.InferenceSession.create(toOnnx(outputs, settings.device.target), {
      ...sessionOptions(settings),
      externalData: files.map(({ location, bytes }) => ({ path: location, data: bytes })),
    })
    return sessionOf(session, settings.device.ownMemory)
  },
})

/** Opens an ONNX model from disk; ONNX Runtime itself finds the weight files beside it. */
export const openModelFile = async (file: string, settings: NodeSettings): Promise<Session> =>
  sessionOf(await ort.InferenceSession.create(file, sessionOptions(settings)), settings.device.ownMemory)

/** Providers of this build of ONNX Runtime, by their names for it. */
export const bundledProviders = (): ReadonlyArray<string> => ort.listSupportedBackends().map(({ name }) => name)

const sessionOptions = ({ device, threads }: NodeSettings): ort.InferenceSession.SessionOptions => ({
  executionProviders: [device.provider],
  ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
  // A memory pattern is a plan for one batch shape; ours differ, and at RoBERTa-base's size it holds 1.1 GB more for no speed.
  enableMemPattern: false,
  // It makes of x · σ(x) a node that the CPU has in float32 alone, and then refuses the graph in float64.
  extra: { optimization: { disable_specified_optimizers: 'QuickGeluFusion' } },
  logSeverityLevel: 3,
})

const sessionOf = (session: ort.InferenceSession, ownMemory: boolean): Session => ({
  inputs: session.inputNames,
  run: async (feeds, into = {}) => {
    const wanted = Object.fromEntries(session.inputNames.map((name) => [name, toTensor(name, feeds[name])]))
    const fetches = Object.fromEntries(
      session.outputNames.map((name) => [name, ownMemory && into[name] !== undefined ? toTensor(name, into[name]) : null]),
    )
    const results = await session.run(wanted, fetches)
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data as NumericArray]))
  },
  release: () => session.release(),
})

const toTensor = (name: string, feed: Feed | undefined): ort.Tensor => {
  if (feed === undefined) throw new Error(`run: expected a feed for input ${name}, found none`)
  const { data, shape } = feed
  if (data instanceof Float64Array) return new ort.Tensor('float64', data, shape)
  if (data instanceof Int32Array) return new ort.Tensor('int32', data, shape)
  if (data instanceof BigInt64Array) return new ort.Tensor('int64', data, shape)
  return new ort.Tensor('float32', data, shape)
}
