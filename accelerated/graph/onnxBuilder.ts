/** A model while it is written: its nodes in order and its constants, each value under its own name. Only this file has mutable state. */
import type { DType, Expression } from './expression.js'
import type { AttributeValue, InitializerProto, NodeProto, ValueInfoProto } from './onnxProto.js'
import { elementType, initializerBytes } from './onnxProto.js'

/** What a provider supports. */
export type OnnxTarget = {
  /** writes transposed and scaled products as one `FusedMatMul` (CPU, CUDA); else as plain ONNX (WebGPU lacks it) */
  readonly fusedMatMul: boolean
  /** writes GELU as one node of ONNX Runtime's domain */
  readonly fusedGelu?: boolean
  /** has RMS normalization and rotary embeddings as one node each */
  readonly fusedDecoder?: boolean
  /** has attention over a cache as one node, which writes into the cache */
  readonly cachedAttention?: boolean
  /** has products with int8 matrices: as a node of ONNX Runtime's domain, or 'plain' in ONNX's own operators */
  readonly quantizedMatMul?: boolean | 'plain'
  /**
   * adds products of uint8 and int8 in pairs of 16 bits, which saturate (x86 without VNNI). Products are then of uint8 and uint8: they are exact, and
   * have the same bits.
   */
  readonly saturates?: boolean
  /** runs subgraphs block by block without leaving the device */
  readonly scan?: boolean
  /** has products in float16 */
  readonly halfMatMul?: boolean
  /** operators that it has no kernel for, and that are therefore written as others (default: none) */
  readonly lacks?: readonly ('LogSoftmax' | 'Size')[]
  /** the most parts of one Split; a larger one becomes one Slice per part (default: no limit) */
  readonly largestSplit?: number
  /**
   * hides shapes that a run sets from ONNX Runtime. Its planner of memory compares each value whose rank it knows with all freed ones. That took
   * most of the time to open a large graph. Where it knows that two shapes are equal, it also holds the most that each ever needed.
   */
  readonly unknownShapes?: boolean
}

/** What writing one expression as ONNX nodes starts from: the expression, the names of its inputs, and the name that its value gets. */
export type PendingNode = {
  readonly node: Expression
  /** names of its inputs */
  readonly x: readonly string[]
  /** the name for its value, unless that has one already */
  readonly result: string
  /** whether an OutputOf reads it */
  readonly manyOutputs: boolean
}

export type OnnxBuilder = {
  readonly target: OnnxTarget
  readonly nodes: readonly NodeProto[]
  readonly initializers: ReadonlyMap<string, InitializerProto>
  /** the initializers of `sizes` that are inputs as well */
  readonly hiddenSizes: ReadonlyMap<string, ValueInfoProto>
  /** Adds a node; → the name of its first result. */
  readonly emit: (
    opType: string,
    operands: readonly string[],
    attributes?: Readonly<Record<string, AttributeValue>>,
    results?: readonly string[],
    domain?: string,
  ) => string
  /** The first result of an equal node, or of a new one. ONNX Runtime would find equal nodes too, but takes longer. */
  readonly share: (opType: string, operands: readonly string[], attributes?: Readonly<Record<string, AttributeValue>>) => string
  /** Adds an initializer unless there is one of that name; → its name. So do the next two. */
  readonly constant: (data: readonly number[] | Float64Array, shape: readonly number[], dtype: DType) => string
  readonly integers: (values: readonly number[]) => string
  /** The same as the sizes of a shape. The runtime takes them for an input with a default, and so does not know the shape before a run. */
  readonly sizes: (values: readonly number[]) => string
  readonly weight: (tensor: InitializerProto) => string
  /** A builder of a subgraph that shares the initializers. The names of its values start with `prefix`. */
  readonly inner: (prefix: string) => OnnxBuilder
}

export const onnxBuilder = (
  target: OnnxTarget,
  initializers = new Map<string, InitializerProto>(),
  hiddenSizes = new Map<string, ValueInfoProto>(),
  prefix = '',
): OnnxBuilder => {
  const nodes: NodeProto[] = []
  /** Values that serialization adds (`Expand'8`) are numbered separately from those of expressions (`Expand:8`). */
  const newName = (stem: string): string => `${prefix}${stem}'${nodes.length}`
  const shared = new Map<string, string>()
  const emit: OnnxBuilder['emit'] = (opType, operands, attributes = {}, results = [newName(opType)], domain = '') => {
    nodes.push({ opType, domain, input: operands, output: results, attributes, name: `${prefix}${opType}_${nodes.length}` })
    return results[0] ?? ''
  }
  const constant: OnnxBuilder['constant'] = (data, shape, dtype) => {
    const name = data.length <= 8 ? `${dtype}[${shape}](${Array.from(data).join(',')})` : `constant:${initializers.size}`
    if (!initializers.has(name)) initializers.set(name, { name, shape, dataType: elementType(dtype), bytes: initializerBytes(data, dtype) })
    return name
  }
  const integers = (values: readonly number[]): string => constant(values, [values.length], 'int64')
  return {
    target,
    nodes,
    initializers,
    hiddenSizes,
    emit,
    share: (opType, operands, attributes = {}) => {
      const key = JSON.stringify([opType, operands, attributes])
      const name = shared.get(key) ?? emit(opType, operands, attributes)
      shared.set(key, name)
      return name
    },
    constant,
    integers,
    sizes: (values) => {
      if (target.unknownShapes !== true) return integers(values)
      const name = `sizes(${values.join(',')})`
      const dataType = elementType('int64')
      initializers.set(name, { name, dataType, shape: [values.length], bytes: initializerBytes(values, 'int64') })
      hiddenSizes.set(name, { name, dataType, shape: null })
      return name
    },
    weight: (tensor) => {
      initializers.set(tensor.name, tensor)
      return tensor.name
    },
    inner: (innerPrefix) => onnxBuilder(target, initializers, hiddenSizes, innerPrefix),
  }
}
