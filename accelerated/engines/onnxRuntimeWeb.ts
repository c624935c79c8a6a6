/** The engine of a browser: onnxruntime-web, by WebAssembly. The caller loads the runtime; no other file runs it. */
import type * as binding from 'onnxruntime-web'
import { DeviceError } from '../errors/deviceError.js'
import { toOnnx } from '../graph/onnx.js'
import type { Device } from './devices/device.js'
import { cpu } from './devices/cpu.js'
import type { Engine, EngineSettings, Session } from './engine.js'
import type { Feeds, NumericArray } from './feeds.js'
import { ownGraph, sessionOptions, weightFiles } from './sessionOptions.js'
import { toTensor } from './writeIntoBuffers.js'

/** ONNX Runtime as the entry `onnxruntime-web/wasm` gives it. */
export type WebRuntime = Pick<typeof binding, 'InferenceSession' | 'Tensor' | 'env'>

/** `threads` of the settings are set once, for the whole page: WebAssembly makes its threads as it starts. */
const webEngine = (
  load: () => Promise<WebRuntime>,
  { target }: Pick<Device, 'target'>,
  provider: string,
  settings: EngineSettings,
): Engine => ({
  cachedAttention: target.cachedAttention === true,
  scan: target.scan === true,
  open: async (outputs, weights, options = {}) => {
    const files = await weightFiles(outputs, weights)
    const ort = await load()
    const model = toOnnx(outputs, target)
    const chosen = sessionOptions({ provider: { name: provider } }, settings, ownGraph(outputs, files, target, options))
    return sessionOf(ort, await ort.InferenceSession.create(model, chosen))
  },
})

const sessionOf = (ort: WebRuntime, session: binding.InferenceSession): Session => ({
  inputs: session.inputNames,
  run: async (feeds) => {
    const results = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, tensorOf(ort, feeds, name)])))
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data as NumericArray]))
  },
  release: () => session.release(),
})

const tensorOf = (ort: WebRuntime, feeds: Feeds, name: string): binding.Tensor => {
  const feed = feeds[name]
  if (feed === undefined) throw new DeviceError(`run: expected a feed for input ${name}, got none`)
  return toTensor(ort, feed)
}

/** The processor by WebAssembly: the graphs and the bounds of Node's processor. @param load the runtime of `onnxruntime-web/wasm` */
export const wasm = (load: () => Promise<WebRuntime>): Device => ({
  ...cpu,
  engine: (settings) => webEngine(load, cpu, 'wasm', settings),
  missing: async () => null,
  remedy: async () => 'a browser with WebAssembly and its SIMD instructions',
})
