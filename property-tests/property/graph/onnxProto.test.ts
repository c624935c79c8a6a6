/** The bytes of a model are those that protobufjs writes of the same message by ONNX's schema. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeModel,
  type AttributeValue,
  type GraphParts,
  type InitializerProto,
  type ModelParts,
  type NodeProto,
  type SequenceInfoProto,
  type ValueInfoProto,
} from '../../../accelerated/graph/onnxProto.js'
import { messageType } from '../../support/onnxSchema.js'
import { SEED } from '../../support/seed.js'

const name = fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: 'grapheme', maxLength: 20 }))
const integer = fc.oneof(fc.constantFrom(0, 1, -1, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 32) - 1), fc.maxSafeInteger())
const size = fc.oneof(fc.nat(), fc.constantFrom(0, 127, 128, 16_383, 16_384))

const value = fc.record({ name, dataType: size, shape: fc.option(fc.array(fc.oneof(size, name), { maxLength: 4 }), { freq: 4 }) })
const info: fc.Arbitrary<ValueInfoProto | SequenceInfoProto> = fc.oneof(value, fc.record({ name, sequenceOf: size }))
const { graph } = fc.letrec<{ readonly graph: GraphParts; readonly attribute: AttributeValue }>((tie) => ({
  graph: fc.record({
    nodes: fc.array(
      fc.record({
        ...{ name, opType: name, domain: fc.constantFrom('', 'com.microsoft') },
        ...{ input: fc.array(name, { maxLength: 4 }), output: fc.array(name, { maxLength: 2 }) },
        attributes: fc.dictionary(name, tie('attribute'), { maxKeys: 3 }),
      }),
      { maxLength: 3 },
    ),
    inputs: fc.array(value, { maxLength: 3 }),
    outputs: fc.array(info, { maxLength: 3 }),
  }),
  attribute: fc.oneof(
    { depthSize: 'small' },
    integer,
    name,
    fc.array(integer, { maxLength: 4 }),
    fc.record({ float: fc.oneof(fc.float(), fc.constant(0)) }),
    fc.record({ graph: tie('graph') }),
  ),
}))
const external = fc.record({ location: name, offset: size, length: size })
const initializer: fc.Arbitrary<InitializerProto> = fc.record(
  { name, shape: fc.array(size, { maxLength: 3 }), dataType: size, bytes: fc.uint8Array({ maxLength: 300 }), external },
  { requiredKeys: ['name', 'shape', 'dataType'] },
)
const model: fc.Arbitrary<ModelParts> = fc
  .tuple(graph, fc.array(initializer, { maxLength: 4 }), fc.array(value, { maxLength: 3 }))
  .map(([parts, initializers, values]) => ({ ...parts, initializers, values }))

describe(`the bytes of an ONNX model (seed ${SEED})`, () => {
  it('are those of protobufjs: numbers of any size and sign, texts in any script, subgraphs, weights inside and outside', () =>
    fc.assert(
      fc.property(model, (parts) => {
        expect(Buffer.compare(encodeModel(parts), byProtobufjs(parts))).toBe(0)
      }),
      { seed: SEED, numRuns: 300 },
    ))
})

/** What ONNX's schema has for these parts. */
const byProtobufjs = (parts: ModelParts): Uint8Array => {
  const type = messageType('ModelProto')
  const hasFourBits = parts.initializers.some(({ dataType }) => dataType === 21)
  const domains = ['', ...(usesMicrosoft(parts.nodes) ? ['com.microsoft'] : [])]
  const content = {
    irVersion: hasFourBits ? 10 : 9,
    producerName: 'salora',
    opsetImport: domains.map((domain) => ({ domain, version: domain === '' ? (hasFourBits ? 21 : 18) : 1 })),
    graph: { ...graphOf('salora', parts), initializer: parts.initializers.map(tensorOf), valueInfo: parts.values.map(infoOf) },
  }
  return type.encode(type.fromObject(content)).finish()
}

const usesMicrosoft = (nodes: readonly NodeProto[]): boolean =>
  nodes.some(
    ({ domain, attributes }) =>
      domain !== '' || Object.values(attributes).some((of) => typeof of === 'object' && 'graph' in of && usesMicrosoft(of.graph.nodes)),
  )

const graphOf = (title: string, { nodes, inputs, outputs }: GraphParts): object => ({
  name: title,
  node: nodes.map((node) => ({ ...node, attribute: Object.entries(node.attributes).map(([key, of]) => attributeOf(key, of)) })),
  input: inputs.map(infoOf),
  output: outputs.map(infoOf),
})

const attributeOf = (title: string, of: AttributeValue): object =>
  typeof of === 'number'
    ? { name: title, i: of, type: 2 }
    : typeof of === 'string'
      ? { name: title, s: new TextEncoder().encode(of), type: 3 }
      : 'float' in of
        ? { name: title, f: of.float, type: 1 }
        : 'graph' in of
          ? { name: title, g: graphOf(title, of.graph), type: 5 }
          : { name: title, ints: of, type: 7 }

const tensorOf = ({ name: title, shape, dataType, bytes, external: outside }: InitializerProto): object => ({
  ...{ name: title, dims: shape, dataType },
  ...(bytes === undefined ? {} : { rawData: bytes }),
  ...(outside === undefined
    ? {}
    : { dataLocation: 1, externalData: Object.entries(outside).map(([key, of]) => ({ key, value: String(of) })) }),
})

const infoOf = (of: ValueInfoProto | SequenceInfoProto): object => ({
  name: of.name,
  type:
    'sequenceOf' in of
      ? { sequenceType: { elemType: { tensorType: { elemType: of.sequenceOf } } } }
      : { tensorType: { elemType: of.dataType, ...(of.shape === null ? {} : { shape: { dim: of.shape.map(dimensionOf) } }) } },
})

const dimensionOf = (d: string | number): object => (typeof d === 'number' ? { dimValue: d } : { dimParam: d })
