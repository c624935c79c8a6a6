/** The nodes of a written model with the types of their operands and results, which ONNX leaves to be inferred. */
import { readModel, type WrittenNode } from '../support/runGraph.js'

export type TypedNode = {
  readonly name: string
  readonly domain: string
  readonly operator: string
  /** null: an operand that is left out */
  readonly inputs: readonly (string | null)[]
  readonly outputs: readonly string[]
}

/** TensorProto.DataType of onnx.proto3, repeated on purpose */
const types: Readonly<Record<number, string>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  16: 'bfloat16',
}
const typeName = (elementType: number): string => {
  const name = types[elementType]
  if (name === undefined) throw new Error(`typedNodes: expected a known type, got ${elementType}`)
  return name
}

const fixedResults: Readonly<Record<string, string>> = {
  Shape: 'int64',
  Size: 'int64',
  Less: 'bool',
  Equal: 'bool',
  MatMulInteger: 'int32',
  MatMulIntegerToFloat: 'float32',
}
/** the operand whose type the result has (default: the first) */
const sameAs: Readonly<Record<string, number>> = { Where: 1, QuantizeLinear: 2 }

const resultOf = ({ opType, attribute }: WrittenNode, inputs: TypedNode['inputs']): string => {
  if (opType === 'Cast') return typeName(Number(attribute.find(({ name }) => name === 'to')?.i))
  const type = fixedResults[opType] ?? inputs[sameAs[opType] ?? 0]
  if (type === undefined || type === null) throw new Error(`typedNodes: expected an operand of ${opType}, got none`)
  return type
}

/** In the order in which they are written. @throws Error for a model with graphs inside of nodes, which no GPU gets */
export const typedNodes = (bytes: Uint8Array): readonly TypedNode[] => {
  const { node, input, initializer } = readModel(bytes)
  const known = new Map<string, string>([
    ...initializer.map(({ name, dataType }) => [name, typeName(dataType)] as const),
    ...input.map(({ name, type }) => [name, typeName(type.tensorType.elemType)] as const),
  ])
  return node.map((written) => {
    if (written.opType === 'Scan') throw new Error('typedNodes: expected no Scan, got one')
    const inputs = written.input.map((name) => {
      const type = known.get(name)
      if (name !== '' && type === undefined) throw new Error(`typedNodes: expected ${name} before ${written.opType}, got nothing`)
      return type ?? null
    })
    const type = resultOf(written, inputs)
    for (const name of written.output) known.set(name, type)
    return { name: written.name, domain: written.domain, operator: written.opType, inputs, outputs: written.output.map(() => type) }
  })
}

/** `Add(float32, float32)`: an operator and the types of its operands. Repeated ones at the end count once. */
export const signature = ({ domain, operator, inputs }: TypedNode): string => {
  const last = inputs.findLastIndex((type, i) => i === 0 || type !== inputs[i - 1])
  return `${domain === '' ? '' : `${domain}.`}${operator}(${inputs
    .slice(0, last + 1)
    .map((type) => type ?? '–')
    .join(', ')})`
}
