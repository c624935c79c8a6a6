/** The engine of Node: onnxruntime-node. No other file runs it. */
import type { InferenceSession } from 'onnxruntime-node'
import { toOnnx, type OnnxTarget } from '../graph/onnx.js'
import { type Outputs, topologicalOrder, type DType, type Expression } from '../graph/expression.js'
import { deviceResidentSession, outputPlaces } from './deviceResidentState.js'
import type { Engine, EngineSettings, OpenOptions, Session } from './engine.js'
import type { Feed, Feeds, NumericArray } from './feeds.js'
import { guardNativeCall } from './nativeCallGuard.js'
import { onnxRuntime, type OnnxRuntime, useTf32 } from './loadOnnxRuntime.js'
import { freedWeights } from './freeDeviceWeights.js'
import { productsSaturate } from './saturation.js'
import { noFiles, generatedGraphOptions, sessionOptions, weightFiles } from './sessionOptions.js'
import { canWriteIntoBuffers, runIntoBuffers, sentinelOutput, toTensor, type Tensors } from './writeIntoBuffers.js'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parsePlacement, type Placement } from './placement.js'

/** An execution provider of ONNX Runtime. */
export type Provider = {
  /** its name in ONNX Runtime, with its options */
  readonly provider: { readonly name: string } & Readonly<Record<string, unknown>>
  readonly target: OnnxTarget
  /** whether it writes results into buffers of the caller's */
  readonly preallocatedOutputs: boolean
  /** whether outputs can stay on it as inputs of the next run (default: no) */
  readonly keepsOutputs?: boolean
  /** whether it takes the number of a card, and has TF32 */
  readonly isCuda?: boolean
  /** whether ONNX Runtime runs nodes that it has no kernel for on the CPU instead (default: no) */
  readonly fallsBack?: boolean
}

const freed = freedWeights(0)

/** Compiles and runs graphs on this execution provider. */
export const nodeEngine = (provider: Provider, settings: EngineSettings): Engine => ({
  cachedAttention: provider.target.cachedAttention === true,
  scan: provider.target.scan === true,
  open: async (outputs, weights, options = {}) => {
    const files = await weightFiles(outputs, weights)
    if (provider.isCuda === true) useTf32(settings.tf32 === true)
    const ort = await onnxRuntime()
    const buffers = provider.preallocatedOutputs ? outputBuffers(outputs, options) : null
    const intoBuffers = buffers !== null && (await canWriteIntoBuffers(ort))
    const target = await targetHere(provider.target, outputs)
    const model = toOnnx(outputs, target, intoBuffers ? sentinelOutput : undefined)
    const graph = generatedGraphOptions(outputs, files, options)
    const openModel = (plain: Uint8Array) =>
      guardNativeCall(() => ort.InferenceSession.create(plain, { executionProviders: [provider.provider], logSeverityLevel: 3 }))
    const opened = async (own: EngineSettings) => {
      const places = provider.keepsOutputs === true ? outputPlaces(outputs, options) : null
      const native = {
        ...sessionOptions({ provider: numbered(provider, own) }, own, graph),
        ...(places === null ? {} : { preferredOutputLocation: places }),
      }
      const session = await guardNativeCall(() => ort.InferenceSession.create(model, native))
      return {
        session:
          places !== null
            ? deviceResidentSession(ort, session, outputs, options, copyOpener(ort, provider, settings))
            : intoBuffers
              ? bufferedSession(ort, session, buffers, passedThrough(outputs))
              : copyingSession(ort, session),
        endProfile: () => guardNativeCall(async () => session.endProfiling()),
      }
    }
    const { onPlacement, profile: asked } = settings
    const session =
      provider.fallsBack !== true || onPlacement === undefined || asked !== undefined
        ? (await opened(settings)).session
        : await profiledSession((profile) => opened({ ...settings, profile }), onPlacement)
    return provider.keepsOutputs === true ? freed(session, openModel) : session
  },
})

const multipliesLevels = ({ op }: Expression): boolean => op === 'QuantizedMatMul' || op === 'FourBitMatMul'

/** The provider's operators as this processor computes them. */
const targetHere = async (target: OnnxTarget, outputs: Outputs): Promise<OnnxTarget> =>
  topologicalOrder(Object.values(outputs)).some(multipliesLevels) && (await productsSaturate()) ? { ...target, saturates: true } : target

/** Opens sessions that only copy tensors between host and device. */
const copyOpener =
  (ort: OnnxRuntime, provider: Provider, settings: EngineSettings) =>
  (graph: Outputs, place: 'cpu' | 'gpu-buffer'): Promise<InferenceSession> => {
    const own = generatedGraphOptions(graph, noFiles, {})
    const native = { ...sessionOptions({ provider: numbered(provider, settings) }, settings, own), preferredOutputLocation: place }
    return guardNativeCall(() => ort.InferenceSession.create(toOnnx(graph, provider.target), native))
  }

const numbered = ({ provider, isCuda }: Provider, { deviceId = 0 }: EngineSettings): Provider['provider'] =>
  isCuda === true ? { ...provider, deviceId } : provider

/** Opens an ONNX model from disk on the CPU; ONNX Runtime finds the weight files beside it. */
export const openModelFile = async (file: string, settings: EngineSettings): Promise<Session> => {
  const ort = await onnxRuntime()
  const options = sessionOptions({ provider: { name: 'cpu' } }, settings, {
    ...noFiles,
    prepacks: true,
    merges: true,
    spins: true,
    ownGraph: false,
  })
  return copyingSession(ort, await guardNativeCall(() => ort.InferenceSession.create(file, options)))
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

const bufferedSession = (ort: OnnxRuntime, session: InferenceSession, buffers: OutputBuffers, unchanged: readonly string[]): Session => ({
  inputs: session.inputNames,
  run: async (feeds, into = {}) => {
    const outputs = buffers(into)
    const fetches = Object.fromEntries(Object.entries(outputs).map(([name, feed]) => [name, toTensor(ort, feed)]))
    await runIntoBuffers(session, inputTensors(ort, session, feeds), fetches)
    const results = { ...outputs, ...Object.fromEntries(unchanged.map((name) => [name, findFeed(feeds, name)])) }
    return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data]))
  },
  release: () => guardNativeCall(() => session.release()),
})

/** Whether results can be written into buffers of the caller's: the size of every output is known before a run. */
export const hasFixedOutputs = (outputs: Outputs): boolean => outputBuffers(outputs, {}) !== null

/** Outputs that are inputs under their own names: nothing computes them, so nothing would write into a buffer for them. */
const passedThrough = (outputs: Outputs): readonly string[] =>
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

const newBuffer = (shape: readonly number[], dtype: DType): Feed => {
  const size = shape.reduce((a, b) => a * b, 1)
  return { shape, data: dtype === 'float64' ? new Float64Array(size) : new Float32Array(size) }
}

const inputTensors = (ort: OnnxRuntime, session: InferenceSession, feeds: Feeds): Tensors =>
  Object.fromEntries(session.inputNames.map((name) => [name, toTensor(ort, findFeed(feeds, name))]))

const findFeed = (feeds: Feeds, name: string): Feed => {
  const feed = feeds[name]
  if (feed === undefined) throw new Error(`run: expected a feed for input ${name}, got none`)
  return feed
}

// A session whose first run is profiled: this binding has no other way to learn where ONNX Runtime put each node. The profile is a file in a
// temporary folder, which is removed. Later runs are not profiled.
/** endProfile: writes the file of the profile, and ends it */
type Profiled = { readonly session: Session; readonly endProfile: () => Promise<void> }

/**
 * @param open opens the session with profiles whose names begin with this path
 * @param report takes the placement of the first run; null if there is no profile that can be read. What it throws, the run throws.
 */
export const profiledSession = async (
  open: (profile: string) => Promise<Profiled>,
  report: (placement: Placement | null) => void,
): Promise<Session> => {
  const folder = await mkdtemp(join(tmpdir(), 'salora-placement-'))
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true })
  const { session, endProfile } = await open(join(folder, 'run')).catch(async (thrown: unknown) => {
    await remove()
    throw thrown
  })
  const placement = async (): Promise<Placement> => {
    await endProfile()
    const [file = ''] = await readdir(folder)
    return parsePlacement(await readFile(join(folder, file), 'utf8'))
  }
  let isFirst = true
  const watched =
    (run: Session['run']): Session['run'] =>
    async (feeds, into) => {
      const results = await run(feeds, into)
      if (!isFirst) return results
      isFirst = false
      const found = await placement().catch(() => null)
      await remove()
      report(found)
      return results
    }
  const { another } = session
  return {
    ...session,
    run: watched(session.run),
    ...(another && {
      another: () => {
        const own = another()
        return { ...own, run: watched(own.run) }
      },
    }),
    release: async () => {
      await session.release()
      await remove()
    },
  }
}
