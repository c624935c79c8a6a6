/** Sessions: expressions in, a function from feeds to results out. The only place that runs ONNX Runtime. */
import * as ort from 'onnxruntime-node'
import type { Feed, Feeds, NumericArray } from './feeds.js'
import type { Expression } from '../graph/expression.js'
import { toOnnx } from '../graph/onnx.js'
import type { Device } from './devices.js'
import { executionProvider, onnxTarget } from './devices.js'

/** A file that weights refer to by `location`, and its bytes. */
export type WeightFile = { readonly location: string; readonly bytes: Uint8Array }

export type SessionSettings = {
  readonly device: Device
  /** threads of the CPU provider; 0 lets ONNX Runtime choose */
  readonly threads: number
  readonly weightFiles: ReadonlyArray<WeightFile>
}

export type Results = Readonly<Record<string, NumericArray>>
export type Session = {
  readonly run: (feeds: Feeds) => Promise<Results>
  readonly inputs: ReadonlyArray<string>
  readonly release: () => Promise<void>
}

/** Compiles the graph of `outputs` for a device. @throws when the provider refuses the graph or the device does not work here. */
export const openSession = async (outputs: Readonly<Record<string, Expression>>, settings: SessionSettings): Promise<Session> => {
  return sessionOf(
    await ort.InferenceSession.create(toOnnx(outputs, onnxTarget(settings.device)), {
      ...sessionOptions(settings),
      externalData: settings.weightFiles.map(({ location, bytes }) => ({ path: location, data: bytes })),
    }),
  )
}

/** Opens an ONNX model from disk; ONNX Runtime itself finds the weight files beside it. */
export const openModelFile = async (file: string, settings: Pick<SessionSettings, 'device' | 'threads'>): Promise<Session> =>
  sessionOf(await ort.InferenceSession.create(file, sessionOptions(settings)))

const sessionOptions = (settings: Pick<SessionSettings, 'device' | 'threads'>): ort.InferenceSession.SessionOptions => ({
  executionProviders: [executionProvider(settings.device)],
  ...(settings.threads > 0 ? { intraOpNumThreads: settings.threads } : {}),
  // A memory pattern is a plan for one batch shape; ours differ, and at RoBERTa-base's size it holds 1.1 GB more for no speed.
  enableMemPattern: false,
  logSeverityLevel: 3,
})

const sessionOf = (session: ort.InferenceSession): Session => ({
  inputs: session.inputNames,
  run: async (feeds) => {
    const wanted = Object.fromEntries(session.inputNames.map((name) => [name, toTensor(name, feeds[name])]))
    const results = await session.run(wanted)
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
