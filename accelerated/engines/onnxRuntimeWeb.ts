/** The engines of a browser: onnxruntime-web, by WebAssembly or WebGPU. The caller loads the runtime; no other file runs it. */
import type * as binding from 'onnxruntime-web'
import { DeviceError } from '../errors/expectedErrors.js'
import { type Outputs, type DType, rewrite, type Expression } from '../graph/expression.js'
import { add, input } from '../graph/operators.js'
import { toOnnx, type OnnxTarget } from '../graph/onnx.js'
import { deviceResidentSession, outputPlaces } from './deviceResidentState.js'
import { type Device, cpu, webgpu } from './devices/device.js'
import type { Engine, EngineSettings, Session, ReadWeights, WeightSource } from './engine.js'
import type { Feeds, NumericArray } from './feeds.js'
import { untilLost, type Guard, type GpuDevice } from './lostDevice.js'
import { freedWeights } from './freeDeviceWeights.js'
import { noFiles, generatedGraphOptions, sessionOptions, weightFiles } from './sessionOptions.js'
import { toTensor } from './writeIntoBuffers.js'
import { fromBfloat16, fromFloat16 } from '../storage/float16.js'

/** ONNX Runtime as the entries `onnxruntime-web/wasm`, `/jspi` and `/webgpu` give it. */
export type WebRuntime = Pick<typeof binding, 'InferenceSession' | 'Tensor' | 'env'>

type OutputPlaces = Pick<binding.InferenceSession.SessionOptions, 'preferredOutputLocation'>

type Provider = {
  readonly name: 'wasm' | 'webgpu'
  readonly target: OnnxTarget
  /** whether outputs can stay on it as inputs of the next run */
  readonly keepsOutputs: boolean
  /** types of weights that it cannot read: they are widened to float32 */
  readonly lacks: readonly DType[]
  /** guards calls of this runtime (default: as they are) */
  readonly makeGuard?: (ort: WebRuntime) => Guard
  /** makes a session free its weights on release (default: the runtime does) */
  readonly freed?: ReturnType<typeof freedWeights>
}

const unguarded: Guard = (call) => call()

/** `threads` of the settings are set once, for the whole page: WebAssembly makes its threads as it starts. */
const webEngine = (load: () => Promise<WebRuntime>, provider: Provider, settings: EngineSettings): Engine => {
  const { name, target, keepsOutputs, lacks, makeGuard = () => unguarded, freed = (session) => session } = provider
  return {
    cachedAttention: target.cachedAttention === true,
    scan: target.scan === true,
    open: async (given, source, options = {}) => {
      const [outputs, weights] = widened(given, source, lacks)
      const files = await weightFiles(outputs, weights)
      const ort = await load()
      const guard = makeGuard(ort)
      const opened = (graph: Outputs, chosen: typeof noFiles, places: OutputPlaces = {}): Promise<binding.InferenceSession> => {
        const own = sessionOptions({ provider: { name } }, settings, generatedGraphOptions(graph, chosen, options))
        return guard(() => ort.InferenceSession.create(toOnnx(graph, target), { ...own, ...places }))
      }
      const places = keepsOutputs ? outputPlaces(outputs, options) : null
      const openModel = (model: Uint8Array) => guard(() => ort.InferenceSession.create(model, { executionProviders: [name] }))
      if (places === null) return freed(wrapSession(ort, await opened(outputs, files), guard), openModel)
      const session = await opened(outputs, files, { preferredOutputLocation: places })
      const openCopy = (graph: Outputs, place: 'cpu' | 'gpu-buffer') => opened(graph, noFiles, { preferredOutputLocation: place })
      return freed(deviceResidentSession(ort, session, outputs, options, openCopy, guard), openModel)
    },
  }
}

/** The part of a MessageChannel that is needed: this program's types have none of a browser's. */
type Channel = {
  readonly port1: { onmessage: () => void; readonly close: () => void }
  readonly port2: { readonly postMessage: (message: null) => void }
}

/** Resolves after the tasks that wait. WebAssembly computes in its caller's thread: without a pause, a worker hears no message, such as "stop". */
const waitingTasks = (): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel() as unknown as Channel // a timeout would wait for 4 ms
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })

const wrapSession = (ort: WebRuntime, session: binding.InferenceSession, guard: Guard): Session => ({
  inputs: session.inputNames,
  run: async (feeds) => {
    const inputs = Object.fromEntries(session.inputNames.map((name) => [name, feedToTensor(ort, feeds, name)]))
    const results = await guard(() => session.run(inputs))
    await waitingTasks()
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data as NumericArray]))
  },
  release: () => guard(() => session.release()),
})

const feedToTensor = (ort: WebRuntime, feeds: Feeds, name: string): binding.Tensor => {
  const feed = feeds[name]
  if (feed === undefined) throw new DeviceError(`run: expected a feed for input ${name}, got none`)
  return toTensor(ort, feed)
}

/** The processor by WebAssembly: the graphs and the bounds of Node's processor. @param load the runtime of `onnxruntime-web/wasm` */
export const wasm = (load: () => Promise<WebRuntime>): Device => ({
  ...cpu,
  engine: (settings) => webEngine(load, { name: 'wasm', target: cpu.target, keepsOutputs: false, lacks: [] }, settings),
  missing: async () => null,
  remedy: async () => 'a browser with WebAssembly and its SIMD instructions',
})

/** What a browser's graphics card has beyond WebGPU itself. */
export type GpuFeatures = {
  /** whether its adapter has the feature `shader-f16`. Without it, weights in float16 are widened to float32. */
  readonly halves: boolean
}

/** The graphics card by WebGPU: the graphs and the bounds of Node's WebGPU. @param load the runtime of `onnxruntime-web/jspi` or `/webgpu` */
export const webGpu = (load: () => Promise<WebRuntime>, { halves }: GpuFeatures): Device => {
  const { float16, ...tolerances } = webgpu.tolerances
  const target = { ...webgpu.target, halfMatMul: halves }
  /** with a session that is never released: with the last one, the library gives the card back, and its compiled shaders */
  let kept: Promise<WebRuntime> | null = null
  const lacks: readonly DType[] = halves ? ['bfloat16'] : ['bfloat16', 'float16'] // no shader has bfloat16
  const staying = (): Promise<WebRuntime> => {
    kept ??= load().then(async (ort) => {
      await ort.InferenceSession.create(toOnnx({ y: add(input('x', [1], 'float32'), 1) }, target), { executionProviders: ['webgpu'] })
      return ort
    })
    return kept
  }
  const freed = freedWeights(1)
  const makeGuard = ({ env }: WebRuntime) => untilLost(() => env.webgpu.device as unknown as GpuDevice | undefined)
  return {
    ...webgpu,
    target,
    tolerances: halves ? webgpu.tolerances : tolerances,
    engine: (settings) => webEngine(staying, { name: 'webgpu', target, keepsOutputs: true, lacks, makeGuard, freed }, settings),
    missing: async () => null,
    remedy: async () => 'a browser with WebGPU and a graphics card that it can use',
  }
}

export type WebRuntimeFiles = {
  /** the address of a folder with the runtime's .mjs and .wasm files, with a slash at its end; or of each file, by its name */
  readonly folder: string | ((name: string) => string)
  /** more than one needs a page with the headers COOP and COEP */
  readonly threads: number
}

const placed = (ort: WebRuntime, { folder, threads }: WebRuntimeFiles, name: string): WebRuntime => {
  const find = typeof folder === 'string' ? (file: string): string => folder + file : folder
  ort.env.wasm.wasmPaths = { mjs: find(`${name}.mjs`), wasm: find(`${name}.wasm`) }
  ort.env.wasm.numThreads = threads
  return ort
}

/** The runtime of the processor. Its files are ort-wasm-simd-threaded.mjs and .wasm. */
export const wasmRuntime = (files: WebRuntimeFiles) => async (): Promise<WebRuntime> =>
  placed(await import('onnxruntime-web/wasm'), files, 'ort-wasm-simd-threaded')

/**
 * The runtime of the graphics card: `/jspi` where WebAssembly can wait for promises, else `/webgpu`, which is 10 MB larger. Its files are
 * ort-wasm-simd-threaded.jspi.* or ort-wasm-simd-threaded.asyncify.*.
 */
export const gpuRuntime = (files: WebRuntimeFiles) => async (): Promise<WebRuntime> =>
  waitsForPromises()
    ? placed(await import('onnxruntime-web/jspi'), files, 'ort-wasm-simd-threaded.jspi')
    : placed(await import('onnxruntime-web/webgpu'), files, 'ort-wasm-simd-threaded.asyncify')

const waitsForPromises = (): boolean => 'Suspending' in ((globalThis as { readonly WebAssembly?: object }).WebAssembly ?? {})

/** Frozen weights of 16 bits as float32, for a device without their arithmetic: no value of its graph then has 16 bits. */
type HalfType = 'float16' | 'bfloat16'

/** The numbers of 16-bit patterns. */
const converters: Readonly<Record<HalfType, (patterns: Uint16Array) => Float32Array>> = { float16: fromFloat16, bfloat16: fromBfloat16 }

/** A tensor in its own file, and its first number in the wider one. */
type Place = { readonly dtype: HalfType; readonly offset: number; readonly length: number; readonly first: number }

const widerFile = (location: string): string => `float32 of ${location}`

/**
 * The graph with frozen weights of these types in float32 and without their casts, and a source that has them. The source converts each file as it
 * is read. The numbers are the same. @param weights reads files: a folder cannot be mapped in another type
 */
export const widened = (outputs: Outputs, weights: WeightSource, types: readonly DType[]): readonly [Outputs, WeightSource] => {
  const places = new Map<string, Map<number, Place>>()
  const wider = rewrite(outputs, (node, same) => widerNode(node, same, types, places))
  return places.size === 0 ? [outputs, weights] : [wider, widerSource(weights, places)]
}

const widerNode = (node: Expression, same: Expression, types: readonly DType[], places: Map<string, Map<number, Place>>): Expression => {
  const { op, attributes, dtype } = node
  if (op === 'Weight' && attributes.external !== undefined && isHalf(dtype) && types.includes(dtype)) {
    const { location, offset, length } = attributes.external
    const ofFile = places.get(location) ?? new Map<number, Place>()
    places.set(location, ofFile)
    const place = ofFile.get(offset) ?? { dtype, offset, length, first: numbersIn(ofFile) }
    ofFile.set(offset, place)
    const external = { location: widerFile(location), offset: 4 * place.first, length: 2 * length }
    return { ...node, dtype: 'float32', attributes: { ...attributes, external } }
  }
  if (same === node) return node
  const [x] = same.inputs
  if (op === 'Cast' && x?.dtype === dtype) return x
  return { ...same, dtype: types.includes(dtype) ? 'float32' : dtype } // such as rows of a table, before their cast
}

const isHalf = (dtype: DType): dtype is HalfType => dtype === 'float16' || dtype === 'bfloat16'

const numbersIn = (places: ReadonlyMap<number, Place>): number => [...places.values()].reduce((sum, { length }) => sum + length / 2, 0)

const widerSource =
  (weights: WeightSource, places: ReadonlyMap<string, ReadonlyMap<number, Place>>): WeightSource =>
  async () => {
    const read = await weights()
    if (typeof read === 'string') throw new Error(`widened: expected a source that reads files, got the folder ${read}`)
    const wider = new Map([...places].map(([location, ofFile]) => [widerFile(location), { location, ofFile }] as const))
    const readWider: ReadWeights = async (file) => {
      const known = wider.get(file)
      return known === undefined ? read(file) : widerBytes(await read(known.location), known.ofFile)
    }
    return readWider
  }

const widerBytes = (bytes: Uint8Array, places: ReadonlyMap<number, Place>): Uint8Array => {
  const numbers = new Float32Array(numbersIn(places))
  for (const { dtype, offset, length, first } of places.values())
    numbers.set(converters[dtype](new Uint16Array(new Uint8Array(bytes.subarray(offset, offset + length)).buffer)), first)
  return new Uint8Array(numbers.buffer)
}
