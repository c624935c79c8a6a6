/**
 * A session whose state stays on the device: outputs that its next run takes as inputs, and inputs that never change. In this binding, reading a
 * tensor of the device from JavaScript ends the process, and nothing writes one. So small sessions of their own copy tensors there and back.
 */
import type { InferenceSession, Tensor } from 'onnxruntime-node'
import { type Outputs, topologicalOrder } from '../graph/expression.js'
import { input } from '../graph/operators.js'
import type { OpenOptions, Results, Session } from './engine.js'
import type { Feeds, NumericArray } from './feeds.js'
import type { OnnxRuntime } from './loadOnnxRuntime.js'
import type { Guard } from './lostDevice.js'
import { guardNativeCall } from './nativeCallGuard.js'
import { toTensor, type Tensors } from './writeIntoBuffers.js'

type Place = 'cpu' | 'gpu-buffer'

/** Opens a session on the device whose outputs go to this place. */
type OpenCopy = (graph: Outputs, place: Place) => Promise<InferenceSession>

/** Where each output of a session goes; null: all to the host, since nothing is carried, and no input stays. */
export const outputPlaces = (outputs: Outputs, { carry = {}, fixed = [] }: OpenOptions): Readonly<Record<string, Place>> | null =>
  Object.keys(carry).length === 0 && fixed.length === 0
    ? null
    : Object.fromEntries(Object.keys(outputs).map((name) => [name, carry[name] === undefined ? 'cpu' : 'gpu-buffer'] as const))

/** The tensors on the device that the next runs take, by input. */
type Kept = { tensors: Tensors }

/** By `carriedIn`: the tensors of several sessions. */
const shared = new WeakMap<object, Kept>()

const shareState = (place: object = {}): Kept => {
  const kept = shared.get(place) ?? { tensors: {} }
  shared.set(place, kept)
  return kept
}

/** @param session one whose outputs are in `outputPlaces` @param guard of every call (default: that of Node's threads) */
export const deviceResidentSession = (
  ort: Pick<OnnxRuntime, 'Tensor'>,
  session: InferenceSession,
  outputs: Outputs,
  options: OpenOptions,
  openCopy: OpenCopy,
  guard: Guard = guardNativeCall,
): Session => {
  const openWithState = (kept: Kept): Session => withState({ ort, session, outputs, options, openCopy, guard }, kept)
  const first = openWithState(shareState(options.carriedIn))
  return {
    ...first,
    another: () => openWithState({ tensors: {} }),
    release: async () => {
      await first.release()
      await guard(() => session.release())
    },
  }
}

type Carrying = {
  readonly ort: Pick<OnnxRuntime, 'Tensor'>
  readonly session: InferenceSession
  readonly outputs: Outputs
  readonly options: OpenOptions
  readonly openCopy: OpenCopy
  readonly guard: Guard
}

/** Its release frees the tensors that it has on the device, and leaves the session open. */
const withState = ({ ort, session, outputs, options: { carry = {}, fixed = [] }, openCopy, guard }: Carrying, kept: Kept): Session => {
  /** tensors on the device that every run may take, by input */
  let lasting: Promise<Tensors> | null = null
  /** The writer lives as long as its tensors, which are in its memory. */
  let [reader, writer]: [InferenceSession | null, InferenceSession | null] = [null, null]
  const run = (of: InferenceSession, feeds: Tensors) => guard(() => of.run(feeds))
  const upload = async (feeds: Feeds): Promise<Tensors> => {
    const names = fixed.filter((name) => session.inputNames.includes(name) && feeds[name] !== undefined)
    if (names.length === 0) return {}
    writer = await openCopy(copyInputs(outputs, names), 'gpu-buffer')
    const written = await run(writer, Object.fromEntries(names.map((name) => [name, feedToTensor(ort, feeds, name)])))
    return Object.fromEntries(names.map((name) => [name, written[copyName(name)] as Tensor]))
  }
  const carried = async (): Promise<Results> => {
    const graph = Object.fromEntries(
      Object.entries(carry).map(([name, from]) => [name, input(from, outputs[name]?.shape ?? [], outputs[name]?.dtype ?? 'float32')]),
    )
    reader ??= await openCopy(graph, 'cpu')
    const results = await run(reader, Object.fromEntries(Object.values(carry).map((name) => [name, kept.tensors[name]])) as Tensors)
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data as NumericArray]))
  }
  return {
    ...(Object.keys(carry).length > 0 ? { carried } : {}),
    inputs: session.inputNames,
    run: async (feeds) => {
      lasting ??= upload(feeds).catch((thrown: unknown) => {
        lasting = null
        throw thrown
      })
      const known = await lasting
      const inputs = session.inputNames.map((name) => {
        const tensor = (feeds[name] === undefined ? kept.tensors[name] : undefined) ?? known[name]
        return [name, tensor === undefined && feeds[name] !== undefined ? feedToTensor(ort, feeds, name) : tensor] as const
      })
      const missing = inputs.find(([, tensor]) => tensor === undefined)
      if (missing !== undefined) throw new Error(`run: expected a feed for input ${missing[0]}, got none`)
      const results = await run(session, Object.fromEntries(inputs) as Tensors)
      const [next, rest]: [Record<string, Tensor>, Record<string, NumericArray>] = [{}, {}]
      for (const [name, tensor] of Object.entries(results)) {
        const taking = carry[name]
        if (taking === undefined) rest[name] = tensor.data as NumericArray
        else next[taking] = tensor
      }
      dispose(Object.fromEntries(Object.entries(kept.tensors).filter(([name]) => next[name] !== undefined)))
      kept.tensors = { ...kept.tensors, ...next }
      return rest
    },
    release: async () => {
      dispose(kept.tensors)
      kept.tensors = {}
      dispose((await lasting?.catch(() => null)) ?? {})
      for (const opened of [reader, writer]) if (opened !== null) await guard(() => opened.release())
    },
  }
}

const dispose = (tensors: Tensors): void => {
  for (const tensor of Object.values(tensors)) tensor.dispose()
}

const copyName = (name: string): string => `copy of ${name}`

/** These inputs of a graph as outputs under other names. */
const copyInputs = (outputs: Outputs, names: readonly string[]): Outputs =>
  Object.fromEntries(
    topologicalOrder(Object.values(outputs)).flatMap((node) => {
      const name = node.op === 'Input' ? node.attributes.name : undefined
      return name !== undefined && names.includes(name) ? [[copyName(name), node] as const] : []
    }),
  )

const feedToTensor = (ort: Pick<OnnxRuntime, 'Tensor'>, feeds: Feeds, name: string): Tensor => {
  const feed = feeds[name]
  if (feed === undefined) throw new Error(`run: expected a feed for input ${name}, got none`)
  return toTensor(ort, feed)
}
