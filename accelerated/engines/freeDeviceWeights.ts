/**
 * Frees the weights of released sessions on a graphics card. ONNX Runtime's WebGPU provider keeps them until no session is left, or until it reorders
 * a weight of another on the card. It does so with a convolution's, so a tiny session with a convolution is opened after each release.
 */
import { elementType, encodeModel, initializerBytes, type ValueInfoProto } from '../graph/onnxProto.js'
import type { Session } from './engine.js'

/** Opens a model on the same card. */
type OpenModel = (model: Uint8Array) => Promise<{ readonly release: () => Promise<void> }>

/** y [1, 4, 6, 6] from x [1, 4, 8, 8] and a constant weight of [4, 4, 3, 3]. */
const convolution = (): Uint8Array => {
  const dataType = elementType('float32')
  const value = (name: string, size: number): ValueInfoProto => ({ name, dataType, shape: [1, 4, size, size] })
  const weight = { name: 'w', shape: [4, 4, 3, 3], dataType, bytes: initializerBytes(new Float32Array(4 * 4 * 3 * 3), 'float32') }
  return encodeModel({
    nodes: [{ name: 'convolution', opType: 'Conv', domain: '', input: ['x', 'w'], output: ['y'], attributes: {} }],
    inputs: [value('x', 8)],
    outputs: [value('y', 6)],
    initializers: [weight],
    values: [],
  })
}

/**
 * For the sessions of one card. @param others sessions that it has beside them and that stay open: the weights of the last session are freed with it
 * @returns a session that frees its weights on release
 */
export const freedWeights = (others: number): ((session: Session, open: OpenModel) => Session) => {
  let opened = others
  return (session, open) => {
    opened++
    const free = async (): Promise<void> => (await open(convolution())).release()
    return {
      ...session,
      release: async () => {
        await session.release()
        opened--
        if (opened > 0) await free().catch(() => undefined) // it fails on a card that is lost, whose memory is free
      },
    }
  }
}
