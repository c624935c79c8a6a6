/** A model being written: its nodes in order and its constants, each value under a name of its own. Here alone serialization changes anything. */
import type { DType } from './expression.js'
import type { AttributeValue, InitializerProto, NodeProto } from './onnxProto.js'
import { elementType, initializerBytes } from './onnxProto.js'

/** The decisions that depend on the provider. */
export type OnnxTarget = {
  /** transposed and scaled products are one `FusedMatMul` (CPU, CUDA), or plain ONNX (WebGPU, which lacks it) */
  readonly fusedMatMul: boolean
  /** GELU is one node of ONNX Runtime's own */
  readonly fusedGelu?: boolean
  /** products with matrices in int8 are there and are faster than float32's */
  readonly quantizedMatMul?: boolean
  /** products in float16 are there and are faster than float32's */
  readonly halfMatMul?: boolean
  /** parts that one Split may have, where there is a limit; a wider one becomes a Slice for each part */
  readonly largestSplit?: number
  /**
   * sizes that each run brings go without their names: of values whose shapes it knows to be equal ONNX Runtime keeps the first one's memory for
   * the next, and so holds at any time what each shape ever needed at most
   */
  readonly namelessSizes?: boolean
}

export type OnnxBuilder = {
  readonly target: OnnxTarget
  readonly nodes: ReadonlyArray<NodeProto>
  readonly initializers: ReadonlyMap<string, InitializerProto>
  /** Adds a node; → the name of its first result. */
  readonly emit: (
    opType: string,
    operands: ReadonlyArray<string>,
    attributes?: Readonly<Record<string, AttributeValue>>,
    results?: ReadonlyArray<string>,
    domain?: string,
  ) => string
  /** Each adds an initializer where there is none of that name; → its name. */
  readonly constant: (data: ReadonlyArray<number> | Float64Array, shape: ReadonlyArray<number>, dtype: DType) => string
  readonly integers: (values: ReadonlyArray<number>) => string
  readonly weight: (tensor: InitializerProto) => string
}

export const onnxBuilder = (target: OnnxTarget): OnnxBuilder => {
  const nodes: NodeProto[] = []
  const initializers = new Map<string, InitializerProto>()
  /** Values that serialization adds are numbered apart (`Expand'8`) from those of expressions (`Expand:8`): the two counts differ. */
  const fresh = (stem: string): string => `${stem}'${nodes.length}`
  const constant: OnnxBuilder['constant'] = (data, shape, dtype) => {
    const name = data.length <= 8 ? `${dtype}[${shape}](${Array.from(data).join(',')})` : `constant:${initializers.size}`
    if (!initializers.has(name)) initializers.set(name, { name, shape, dataType: elementType(dtype), bytes: initializerBytes(data, dtype) })
    return name
  }
  return {
    target,
    nodes,
    initializers,
    emit: (opType, operands, attributes = {}, results = [fresh(opType)], domain = '') => {
      nodes.push({ opType, domain, input: operands, output: results, attributes, name: `${opType}_${nodes.length}` })
      return results[0] ?? ''
    },
    constant,
    integers: (values) => constant(values, [values.length], 'int64'),
    weight: (tensor) => {
      initializers.set(tensor.name, tensor)
      return tensor.name
    },
  }
}
