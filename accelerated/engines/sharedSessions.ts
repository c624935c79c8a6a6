/** Sessions that several openings share: adapters of one layout over one base have the same graph, and feed it their own parameters. */
import type { Device } from './devices/device.js'
import type { Engine, EngineSettings, OpenOptions, Session, WeightSource } from './engine.js'
import { type Outputs, topologicalOrder } from '../graph/expression.js'
import { toOnnx } from '../graph/onnx.js'
import { sha256 } from '../storage/native.js'

type Shared = { readonly session: Promise<Session>; openings: number }

/** The device with engines that open each graph over the same weights once, for as long as one of its openings lives. */
export const withSharedSessions = (device: Device): Device => {
  const open = new Map<string, Shared>()
  return { ...device, engine: (settings) => sharedEngine(device, settings, open) }
}

const sharedEngine = (device: Device, settings: EngineSettings, open: Map<string, Shared>): Engine => {
  const engine = device.engine(settings)
  return {
    ...engine,
    sharesSessions: true,
    open: async (outputs, weights, given) => {
      const { carriedIn: _, ...options } = given ?? {} // each opening has a state of its own
      const key = await buildKey(device, outputs, weights, { ...settings, ...options })
      if (key === null) return engine.open(outputs, weights, options)
      const shared = open.get(key) ?? { session: engine.open(outputs, weights, options), openings: 0 }
      open.set(key, shared)
      shared.openings++
      const leave = async (own: Session | undefined): Promise<void> => {
        await own?.release()
        shared.openings--
        if (shared.openings > 0) return
        open.delete(key)
        await (await shared.session).release()
      }
      try {
        const session = await shared.session
        const own = session.another?.()
        return { ...(own ?? session), release: () => leave(own) }
      } catch (thrown) {
        shared.openings--
        open.delete(key)
        throw thrown
      }
    },
  }
}

/** Graph, weights and settings; null where the weights are no folder, and so have no name. */
const buildKey = async (
  { target }: Device,
  outputs: Outputs,
  weights: WeightSource,
  settings: EngineSettings & OpenOptions,
): Promise<string | null> => {
  const folder = topologicalOrder(Object.values(outputs)).some(({ attributes }) => attributes.external !== undefined) ? await weights() : ''
  if (typeof folder !== 'string') return null
  const graph = sha256()
  graph.update(toOnnx(outputs, target))
  return `${graph.hex()} ${JSON.stringify(settings)} ${folder}`
}
