/** The part of ONNX's protobuf schema that we write. Field numbers are those of onnx.proto3 (ONNX 1.17). */
import type { Dimension, DType, ExternalData } from './expression.js'
import protobuf from 'protobufjs/minimal.js'

export type AttributeValue = number | string | readonly number[] | { readonly float: number } | { readonly graph: GraphParts }
export type NodeProto = {
  readonly name: string
  readonly opType: string
  readonly domain: string
  readonly input: readonly string[]
  readonly output: readonly string[]
  readonly attributes: Readonly<Record<string, AttributeValue>>
}
export type InitializerProto = {
  readonly name: string
  readonly shape: readonly number[]
  readonly dataType: number
  readonly bytes?: Uint8Array
  readonly external?: ExternalData
}
/** shape: null if it is not declared */
export type ValueInfoProto = { readonly name: string; readonly dataType: number; readonly shape: readonly Dimension[] | null }
/** A sequence of tensors. */
export type SequenceInfoProto = { readonly name: string; readonly sequenceOf: number }
/** A subgraph: it may read values of the graph around it. */
export type GraphParts = {
  readonly nodes: readonly NodeProto[]
  readonly inputs: readonly ValueInfoProto[]
  readonly outputs: readonly (ValueInfoProto | SequenceInfoProto)[]
}
export type ModelParts = GraphParts & {
  readonly initializers: readonly InitializerProto[]
  /** shapes of inner values that the runtime cannot infer */
  readonly values: readonly ValueInfoProto[]
}

/** TensorProto.DataType */
const elementTypes: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
  uint4: 21,
}
export const elementType = (dtype: DType): number => elementTypes[dtype]

/** AttributeProto.AttributeType */
const attributeType = { float: 1, int: 2, string: 3, graph: 5, ints: 7 } as const

/** opset 18 brought reductions with axes as inputs and ScatterND with `add`, opset 21 numbers of four bits. */
const usual = { irVersion: 9, opset: 18 }
const withFourBits = { irVersion: 10, opset: 21 }

/** 1 is the only version of ONNX Runtime's own operators. */
const opsetsFrom = (version: number) => [
  { domain: '', version },
  { domain: 'com.microsoft', version: 1 },
]

/** The bytes of a model. */
export const encodeModel = (parts: ModelParts): Uint8Array =>
  protobufBytes((writer) => {
    writeMaker(writer, parts)
    writer.message(7, () => writeGraph(writer, parts))
    writeOpsets(writer, parts)
  })

/** Protobuf's limit for a message, in bytes. */
export const largestModel = 2 ** 31 - 1

/** Bytes to write, or the name of the external weight whose data (little-endian, row-major) comes here. */
export type Piece = Uint8Array | { readonly weight: string }

/**
 * A model with its external weights inside: the pieces of the file, in order, and its length in bytes. The fields of a message may come in any order. So
 * the graph is last, and its weights are last within it, because their lengths are known before their bytes.
 */
export const embedWeights = (parts: ModelParts): { readonly pieces: readonly Piece[]; readonly length: number } => {
  const initializers = parts.initializers.filter(({ external }) => external === undefined)
  const graph = protobufBytes((writer) => writeGraph(writer, { ...parts, initializers }))
  const weights = parts.initializers.flatMap(({ external, ...tensor }): readonly Piece[] => {
    if (external === undefined) return []
    const fields = protobufBytes((writer) => {
      writeTensor(writer, tensor)
      writer.start(9, external.length)
    })
    return [protobufBytes((writer) => writer.start(5, fields.length + external.length)), fields, { weight: tensor.name }]
  })
  const lengths = new Map(parts.initializers.map(({ name, external }) => [name, external?.length ?? 0]))
  const totalLength = (pieces: readonly Piece[]): number =>
    pieces.reduce((sum, piece) => sum + (piece instanceof Uint8Array ? piece.length : (lengths.get(piece.weight) ?? 0)), 0)
  const start = protobufBytes((writer) => {
    writeMaker(writer, parts)
    writeOpsets(writer, parts)
    writer.start(7, totalLength([graph, ...weights]))
  })
  const pieces = [start, graph, ...weights]
  return { pieces, length: totalLength(pieces) }
}

const versionsFor = ({ initializers }: ModelParts) =>
  initializers.some(({ dataType }) => dataType === elementTypes.uint4) ? withFourBits : usual

const writeMaker = (writer: FieldWriter, parts: ModelParts): void => {
  writer.integer(1, versionsFor(parts).irVersion)
  writer.text(2, 'salora')
}

const writeOpsets = (writer: FieldWriter, parts: ModelParts): void => {
  const opsets = opsetsFrom(versionsFor(parts).opset).filter(({ domain }) => domain === '' || usesDomain(parts.nodes, domain))
  writer.messages(8, opsets, ({ domain, version }) => {
    writer.text(1, domain)
    writer.integer(2, version)
  })
}

const writeGraph = (writer: FieldWriter, parts: ModelParts): void => {
  writeNodesAndName(writer, 'salora', parts)
  writer.messages(5, parts.initializers, (tensor) => writeTensor(writer, tensor))
  writeInputsAndOutputs(writer, parts)
  writer.messages(13, parts.values, (info) => writeValueInfo(writer, info))
}

const usesDomain = (nodes: readonly NodeProto[], domain: string): boolean =>
  nodes.some((node) => node.domain === domain || Object.values(node.attributes).some((value) => usesDomain(listNestedNodes(value), domain)))

const listNestedNodes = (value: AttributeValue): readonly NodeProto[] =>
  typeof value === 'object' && 'graph' in value ? value.graph.nodes : []

const writeNodesAndName = (writer: FieldWriter, name: string, { nodes }: GraphParts): void => {
  writer.messages(1, nodes, (node) => {
    writer.texts(1, node.input)
    writer.texts(2, node.output)
    writer.text(3, node.name)
    writer.text(4, node.opType)
    writer.messages(5, Object.entries(node.attributes), ([attributeName, value]) => writeAttribute(writer, attributeName, value))
    writer.text(7, node.domain)
  })
  writer.text(2, name)
}

const writeInputsAndOutputs = (writer: FieldWriter, { inputs, outputs }: GraphParts): void => {
  writer.messages(11, inputs, (info) => writeValueInfo(writer, info))
  writer.messages(12, outputs, (info) => writeValueInfo(writer, info))
}

const writeAttribute = (writer: FieldWriter, name: string, value: AttributeValue): void => {
  const typed = (type: keyof typeof attributeType): void => writer.integer(20, attributeType[type])
  writer.text(1, name)
  if (typeof value === 'number') {
    writer.integer(3, value)
    typed('int')
  } else if (typeof value === 'string') {
    writer.text(4, value)
    typed('string')
  } else if ('float' in value) {
    writer.float(2, value.float)
    typed('float')
  } else if ('graph' in value) {
    writer.message(6, () => {
      writeNodesAndName(writer, name, value.graph)
      writeInputsAndOutputs(writer, value.graph)
    })
    typed('graph')
  } else {
    writer.integers(8, value)
    typed('ints')
  }
}

/** TensorProto.DataLocation.EXTERNAL */
const externalLocation = 1

const writeTensor = (writer: FieldWriter, { name, shape, dataType, bytes, external }: InitializerProto): void => {
  writer.integers(1, shape)
  writer.integer(2, dataType)
  writer.text(8, name)
  if (bytes !== undefined) writer.bytes(9, bytes)
  if (external === undefined) return
  writer.messages(13, Object.entries(external), ([key, value]) => {
    writer.text(1, key)
    writer.text(2, String(value))
  })
  writer.integer(14, externalLocation)
}

const writeValueInfo = (writer: FieldWriter, info: ValueInfoProto | SequenceInfoProto): void => {
  writer.text(1, info.name)
  writer.message(2, () => {
    if ('sequenceOf' in info) writer.message(4, () => writer.message(1, () => writer.message(1, () => writer.integer(1, info.sequenceOf))))
    else
      writer.message(1, () => {
        writer.integer(1, info.dataType)
        if (info.shape !== null) writer.message(2, () => writer.messages(1, info.shape ?? [], (d) => writeDimension(writer, d)))
      })
  })
}

const writeDimension = (writer: FieldWriter, d: Dimension): void => {
  if (typeof d === 'number') writer.integer(1, d)
  else writer.text(2, d)
}

const typedArrays: Readonly<Partial<Record<DType, (data: ArrayLike<number>) => { readonly buffer: ArrayBufferLike }>>> = {
  float64: (data) => Float64Array.from(data),
  float32: (data) => Float32Array.from(data),
  int64: (data) => BigInt64Array.from(Array.from(data, BigInt)),
  int32: (data) => Int32Array.from(data),
  int8: (data) => Int8Array.from(data),
  uint8: (data) => Uint8Array.from(data),
  uint4: (data) => packedNibbles(data),
  bool: (data) => Uint8Array.from(data),
}

/** Two numbers a byte, the first in the lower bits. */
export const packedNibbles = (data: ArrayLike<number>): Uint8Array =>
  Uint8Array.from({ length: Math.ceil(data.length / 2) }, (_, i) => (data[2 * i] ?? 0) | ((data[2 * i + 1] ?? 0) << 4))

/** Little-endian raw data of numbers in `dtype`. */
export const initializerBytes = (data: ArrayLike<number>, dtype: DType): Uint8Array => {
  const typed = typedArrays[dtype]
  if (typed === undefined) throw new Error(`initializerBytes: expected one of ${Object.keys(typedArrays).join(', ')}, got ${dtype}`)
  return new Uint8Array(typed(data).buffer)
}

const wireType = { varint: 0, length: 2, fixed32: 5 } as const

/**
 * Fields of protobuf messages, by protobufjs' writer. Its schemas would make their encoders with eval, which a page may forbid. 0, '' and no bytes are the
 * defaults, which need no field.
 */
const fieldWriter = (writer: protobuf.Writer) => {
  const key = (field: number, type: number): protobuf.Writer => writer.uint32((field << 3) | type)
  const message = (field: number, write: () => void): void => {
    key(field, wireType.length).fork()
    write()
    writer.ldelim()
  }
  const textField = (field: number, value: string): void => void key(field, wireType.length).string(value)
  return {
    message,
    messages: <T>(field: number, items: readonly T[], write: (item: T) => void): void =>
      items.forEach((item) => message(field, () => write(item))),
    /** the start of a message or of bytes that are written elsewhere */
    start: (field: number, length: number): void => void key(field, wireType.length).int64(length),
    /** a whole number below 2⁵³ in size */
    integer: (field: number, value: number): void => {
      if (value !== 0) key(field, wireType.varint).int64(value)
    },
    /** all in one field; nothing for an empty list */
    integers: (field: number, values: readonly number[]): void => {
      if (values.length > 0) message(field, () => values.forEach((value) => writer.int64(value)))
    },
    /** float32 */
    float: (field: number, value: number): void => {
      if (value !== 0) key(field, wireType.fixed32).float(value)
    },
    text: (field: number, value: string): void => {
      if (value !== '') textField(field, value)
    },
    texts: (field: number, values: readonly string[]): void => values.forEach((value) => textField(field, value)),
    bytes: (field: number, value: Uint8Array): void => {
      if (value.length > 0) key(field, wireType.length).bytes(value)
    },
  }
}
type FieldWriter = ReturnType<typeof fieldWriter>

/** The bytes of a message whose fields `write` writes, in their order. */
const protobufBytes = (write: (writer: FieldWriter) => void): Uint8Array => {
  const writer = protobuf.Writer.create()
  write(fieldWriter(writer))
  return writer.finish()
}
