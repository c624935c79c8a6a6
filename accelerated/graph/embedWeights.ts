/** Embedding: lays out a model with external weights as one file with the weights inside, which can be written tensor by tensor. */
import protobuf from 'protobufjs'
import { messageType } from './onnxSchema.js'

/** Protobuf's limit for a message, in bytes. */
export const largestModel = 2 ** 31 - 1

/** A decoded tensor: `externalData` has location, offset and length. */
type ExternalTensor = {
  readonly name: string
  readonly dims: unknown
  readonly dataType: number
  readonly dataLocation?: number
  readonly externalData: readonly { readonly key: string; readonly value: string }[]
}
type Graph = { readonly initializer: readonly ExternalTensor[] }

/** Bytes to write, or the name of the weight whose data (little-endian, row-major) comes here. */
export type Piece = Uint8Array | { readonly weight: string }

/**
 * The pieces of the file, in order, and its length in bytes. The fields of a message may come in any order. So the graph is last, and its weights are
 * last within it, because their lengths are known before their bytes.
 */
export const embedWeights = (model: Uint8Array): { readonly pieces: readonly Piece[]; readonly length: number } => {
  const { graph, ...rest } = messageType('ModelProto').decode(model) as unknown as { readonly graph: Graph }
  const external = graph.initializer.filter(({ dataLocation }) => dataLocation === 1)
  const inline = graph.initializer.filter(({ dataLocation }) => dataLocation !== 1)
  const weights = external.map((tensor) => {
    const length = Number(tensor.externalData.find(({ key }) => key === 'length')?.value)
    const fields = encoded('TensorProto', { dims: tensor.dims, dataType: tensor.dataType, name: tensor.name })
    const before = concatenated([fields, prefix(rawDataField, length)])
    return { name: tensor.name, before: concatenated([prefix(initializerField, before.length + length), before]), length }
  })
  const nodes = encoded('GraphProto', { ...graph, initializer: inline })
  const graphLength = nodes.length + weights.reduce((sum, { before, length }) => sum + before.length + length, 0)
  const start = concatenated([encoded('ModelProto', rest), prefix(graphField, graphLength), nodes])
  return {
    pieces: [start, ...weights.flatMap(({ name, before }): readonly Piece[] => [before, { weight: name }])],
    length: start.length + graphLength - nodes.length,
  }
}

/** Field numbers of ModelProto.graph, GraphProto.initializer and TensorProto.raw_data. */
const [graphField, initializerField, rawDataField] = [7, 5, 9] as const

const encoded = (type: string, fields: object): Uint8Array => messageType(type).encode(messageType(type).create(fields)).finish()

/** The bytes before a field of bytes: its number with wire type 2, and its length. */
const prefix = (field: number, length: number): Uint8Array =>
  protobuf.Writer.create()
    .uint32((field << 3) | 2)
    .int64(length)
    .finish()

const concatenated = (parts: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  parts.reduce((at, part) => {
    whole.set(part, at)
    return at + part.length
  }, 0)
  return whole
}
