/** The part of ONNX's protobuf schema that we write, for protobufjs. Field numbers are those of onnx.proto3 (ONNX 1.17). */
import protobuf from 'protobufjs'
import type { Dimension, DType, ExternalData } from './expression.js'

export type AttributeValue = number | string | ReadonlyArray<number> | { readonly float: number } | { readonly graph: GraphParts }
export type NodeProto = {
  readonly name: string
  readonly opType: string
  readonly domain: string
  readonly input: ReadonlyArray<string>
  readonly output: ReadonlyArray<string>
  readonly attributes: Readonly<Record<string, AttributeValue>>
}
export type InitializerProto = {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly dataType: number
  readonly bytes?: Uint8Array
  readonly external?: ExternalData
}
/** shape: null for an undeclared size */
export type ValueInfoProto = { readonly name: string; readonly dataType: number; readonly shape: ReadonlyArray<Dimension | null> }
/** A sequence of tensors. */
export type SequenceInfoProto = { readonly name: string; readonly sequenceOf: number }
/** A subgraph: it may read values of the graph around it. */
export type GraphParts = {
  readonly nodes: ReadonlyArray<NodeProto>
  readonly inputs: ReadonlyArray<ValueInfoProto>
  readonly outputs: ReadonlyArray<ValueInfoProto | SequenceInfoProto>
}
export type ModelParts = GraphParts & {
  readonly initializers: ReadonlyArray<InitializerProto>
  /** shapes of inner values that the runtime cannot infer */
  readonly values: ReadonlyArray<ValueInfoProto>
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

const field = (id: number, type: string, rule?: 'repeated'): protobuf.IField => (rule === undefined ? { id, type } : { id, type, rule })

const root = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: field(1, 'int64'),
        opsetImport: field(8, 'OperatorSetIdProto', 'repeated'),
        producerName: field(2, 'string'),
        graph: field(7, 'GraphProto'),
      },
    },
    OperatorSetIdProto: { fields: { domain: field(1, 'string'), version: field(2, 'int64') } },
    GraphProto: {
      fields: {
        node: field(1, 'NodeProto', 'repeated'),
        name: field(2, 'string'),
        initializer: field(5, 'TensorProto', 'repeated'),
        input: field(11, 'ValueInfoProto', 'repeated'),
        output: field(12, 'ValueInfoProto', 'repeated'),
        valueInfo: field(13, 'ValueInfoProto', 'repeated'),
      },
    },
    NodeProto: {
      fields: {
        input: field(1, 'string', 'repeated'),
        output: field(2, 'string', 'repeated'),
        name: field(3, 'string'),
        opType: field(4, 'string'),
        attribute: field(5, 'AttributeProto', 'repeated'),
        domain: field(7, 'string'),
      },
    },
    AttributeProto: {
      fields: {
        name: field(1, 'string'),
        f: field(2, 'float'),
        i: field(3, 'int64'),
        s: field(4, 'bytes'),
        g: field(6, 'GraphProto'),
        ints: field(8, 'int64', 'repeated'),
        type: field(20, 'int32'),
      },
    },
    TensorProto: {
      fields: {
        dims: field(1, 'int64', 'repeated'),
        dataType: field(2, 'int32'),
        name: field(8, 'string'),
        rawData: field(9, 'bytes'),
        externalData: field(13, 'StringStringEntryProto', 'repeated'),
        dataLocation: field(14, 'int32'),
      },
    },
    StringStringEntryProto: { fields: { key: field(1, 'string'), value: field(2, 'string') } },
    ValueInfoProto: { fields: { name: field(1, 'string'), type: field(2, 'TypeProto') } },
    TypeProto: { fields: { tensorType: field(1, 'TensorTypeProto'), sequenceType: field(4, 'SequenceTypeProto') } },
    SequenceTypeProto: { fields: { elemType: field(1, 'TypeProto') } },
    TensorTypeProto: { fields: { elemType: field(1, 'int32'), shape: field(2, 'TensorShapeProto') } },
    TensorShapeProto: { fields: { dim: field(1, 'DimensionProto', 'repeated') } },
    DimensionProto: { fields: { dimValue: field(1, 'int64'), dimParam: field(2, 'string') } },
  },
})

export const messageType = (name: string): protobuf.Type => root.lookupType(name)

/** opset 18 brought reductions with axes as inputs and ScatterND with `add`, opset 21 numbers of four bits. */
const usual = { irVersion: 9, opset: 18 }
const withFourBits = { irVersion: 10, opset: 21 }

/** 1 is the only version of ONNX Runtime's own operators. */
const opsetsFrom = (version: number) => [
  { domain: '', version },
  { domain: 'com.microsoft', version: 1 },
]

export const encodeModel = (parts: ModelParts): Uint8Array => {
  const type = messageType('ModelProto')
  const { irVersion, opset } = parts.initializers.some(({ dataType }) => dataType === elementTypes.uint4) ? withFourBits : usual
  // plain objects of the schema's own types need no fromObject, which would copy each node
  return type
    .encode({
      irVersion,
      producerName: 'salora',
      opsetImport: opsetsFrom(opset).filter(({ domain }) => domain === '' || usesDomain(parts.nodes, domain)),
      graph: {
        ...graph('salora', parts),
        initializer: parts.initializers.map(tensor),
        valueInfo: parts.values.map(valueInfo),
      },
    })
    .finish()
}

const usesDomain = (nodes: ReadonlyArray<NodeProto>, domain: string): boolean =>
  nodes.some((node) => node.domain === domain || Object.values(node.attributes).some((value) => usesDomain(nodesOf(value), domain)))

const nodesOf = (value: AttributeValue): ReadonlyArray<NodeProto> =>
  typeof value === 'object' && 'graph' in value ? value.graph.nodes : []

const graph = (name: string, { nodes, inputs, outputs }: GraphParts): object => ({
  name,
  node: nodes.map((node) => ({
    ...node,
    attribute: Object.entries(node.attributes).map(([attributeName, value]) => attribute(attributeName, value)),
  })),
  input: inputs.map(valueInfo),
  output: outputs.map(valueInfo),
})

const attribute = (name: string, value: AttributeValue): object =>
  typeof value === 'number'
    ? { name, i: value, type: attributeType.int }
    : typeof value === 'string'
      ? { name, s: new TextEncoder().encode(value), type: attributeType.string }
      : 'float' in value
        ? { name, f: value.float, type: attributeType.float }
        : 'graph' in value
          ? { name, g: graph(name, value.graph), type: attributeType.graph }
          : { name, ints: value, type: attributeType.ints }

const tensor = ({ name, shape, dataType, bytes, external }: InitializerProto): object => ({
  name,
  dims: shape,
  dataType,
  ...(bytes === undefined ? {} : { rawData: bytes }),
  ...(external === undefined
    ? {}
    : {
        dataLocation: 1, // TensorProto.DataLocation.EXTERNAL
        externalData: Object.entries(external).map(([key, value]) => ({ key, value: String(value) })),
      }),
})

const valueInfo = (info: ValueInfoProto | SequenceInfoProto): object => ({
  name: info.name,
  type:
    'sequenceOf' in info
      ? { sequenceType: { elemType: { tensorType: { elemType: info.sequenceOf } } } }
      : { tensorType: { elemType: info.dataType, shape: { dim: info.shape.map(dimension) } } },
})

const dimension = (d: Dimension | null): object => (d === null ? {} : typeof d === 'number' ? { dimValue: d } : { dimParam: d })

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
