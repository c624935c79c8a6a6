/**
 * Expressions: an immutable, typed DAG of tensor operations. There is no builder and no graph object. An expression is its operator, its inputs,
 * its attributes, and the shape and dtype that follow from them. Names appear only at serialization, and unreachable work never exists.
 *
 * This folder has tensors, their gradients and their ONNX form. Layers, methods and runtimes belong in the folders beside it.
 */

/** The type of a graph's numbers. */
export type FloatType = 'float32' | 'float64'

export type DType = 'float64' | 'float32' | 'float16' | 'bfloat16' | 'int64' | 'int32' | 'int8' | 'uint8' | 'uint4' | 'bool'

/**
 * A size known when the graph is written, or the name of a size that each run sets. It is a name such as `tokens`, or an expression of names such as
 * `12*batch` (dimension.ts). Two dimensions are equal if their texts are.
 */
export type Dimension = number | string
export type Shape = readonly Dimension[]

/** Bytes of a tensor inside a file that ONNX Runtime maps itself: ONNX "external data". */
export type ExternalData = { readonly location: string; readonly offset: number; readonly length: number }

/** Operators with a rule in vjps.ts: the table there has exactly these keys, so a missing rule does not compile. */
export type DifferentiableOp =
  | 'Add'
  | 'Sub'
  | 'Mul'
  | 'Div'
  | 'Neg'
  | 'Exp'
  | 'Log'
  | 'Sqrt'
  | 'Sigmoid'
  | 'Tanh'
  | 'Erf'
  | 'Sin'
  | 'Cos'
  | 'Gelu'
  | 'Relu'
  | 'Clip'
  | 'MatMul'
  | 'QuantizedMatMul'
  | 'FourBitMatMul'
  | 'HalfMatMul'
  | 'Softmax'
  | 'LogSoftmax'
  | 'LogSumExp'
  | 'LayerNormalization'
  | 'RmsNormalization'
  | 'RotaryEmbedding'
  | 'Gather'
  | 'SelectRows'
  | 'SelectColumns'
  | 'ReplaceColumns'
  | 'Reshape'
  | 'Transpose'
  | 'Expand'
  | 'ReduceSum'
  | 'ReduceMean'
  | 'Concat'
  | 'Slice'
  | 'Cast'
  | 'Where'
  | 'ControlDependency'
  | 'Scan'

/** Operators without a gradient: piecewise constant in every input, or used only in gradients and updates. */
type NonDifferentiableOp =
  | 'Less'
  | 'Equal'
  | 'Min'
  | 'Max'
  | 'SliceVector'
  | 'CumulativeSum'
  | 'ScatterAddRows'
  | 'Dequantize'
  | 'FourBitDequantize'
  | 'BlockDequantize'
  | 'BlockMatMul'
  | 'CachedAttention'
  | 'AddMatMul'
  | 'TransposedView'
  | 'Split'
  | 'OutputOf'

/** Operators that every gradient treats as a constant. */
export type DetachedOp = 'StopGradient'

/** Marks values that the backward pass recomputes instead of storing: those between its two operands. */
type CheckpointOp = 'Checkpoint'

type LeafOp = 'Input' | 'Constant' | 'Weight' | 'Size'
export type Op = DifferentiableOp | NonDifferentiableOp | DetachedOp | CheckpointOp | LeafOp

type Attributes = {
  readonly name?: string
  readonly data?: Float64Array
  readonly external?: ExternalData
  readonly axis?: number
  readonly axes?: readonly number[]
  readonly keepDimensions?: boolean
  readonly permutation?: readonly number[]
  readonly transposeA?: boolean
  readonly transposeB?: boolean
  readonly alpha?: number
  readonly epsilon?: number
  readonly heads?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly sizes?: readonly number[]
  /** Size: the shape whose elements are counted */
  readonly of?: Shape
  /** Slice: the sizes of the parts that it removes on either side */
  readonly before?: Dimension
  readonly after?: Dimension
  readonly output?: number
  /** of a matrix in four bits, whose last block may be longer than a row */
  readonly columns?: number
  /** the soft cap of CachedAttention */
  readonly cap?: number
  /** of further outputs (CachedAttention) */
  readonly names?: readonly string[]
  /** SelectColumns, ReplaceColumns: the columns' numbers, each once */
  readonly places?: readonly number[]
  /** SelectRows: some rows have no index that selects them, so their gradient is zero. */
  readonly partial?: boolean
  readonly body?: ScanBody
  /** Scan: what its gradient computes from a slice more, that of the gradient of its result; absent: it has no gradient */
  readonly backward?: Backward
}

/** What a Scan computes from one slice of each of its first operands, and from its other operands as they are. */
export type ScanBody = {
  /** inputs, for the slices of the first operands along their first axis */
  readonly slices: readonly Expression[]
  /** inputs, for the other operands */
  readonly shared: readonly Expression[]
  /** values of each slice */
  readonly results: readonly Expression[]
  /** values that are added up over all slices */
  readonly sums: readonly Expression[]
}

/** Results are gradients of the first sliced operands, and sums are those of the first other ones. */
export type Backward = ScanBody

export type Expression = {
  readonly op: Op
  readonly inputs: readonly Expression[]
  readonly attributes: Attributes
  readonly shape: Shape
  readonly dtype: DType
}

/** `[tokens, 768]`: at most eight dimensions, since a file may have any number of them. */
export const showShape = (shape: Shape): string => `[${shape.slice(0, 8).join(', ')}${shape.length > 8 ? ', …' : ''}]`

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dimension, i) => dimension === b[i])

/** Every expression that `roots` need, each after its inputs. Iterative, because a training step is thousands of nodes deep. */
export const topologicalOrder = (roots: readonly Expression[]): readonly Expression[] => {
  const order: Expression[] = []
  const seen = new Set<Expression>()
  const stack: { readonly node: Expression; next: number }[] = []
  for (const root of roots) {
    if (seen.has(root)) continue
    seen.add(root)
    stack.push({ node: root, next: 0 })
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const input = top.node.inputs[top.next++]
      if (input === undefined) {
        order.push(top.node)
        stack.pop()
      } else if (!seen.has(input)) {
        seen.add(input)
        stack.push({ node: input, next: 0 })
      }
    }
  }
  return order
}

/** The results of a graph by their names. */
export type Outputs = Readonly<Record<string, Expression>>

/**
 * The outputs with other nodes, from the inputs on. Nodes that nothing changes stay the same objects.
 * @param replace gives what stands for a node, which it gets as it was, and over the new inputs; `renewed` gives what stands for an earlier one
 */
export const rewrite = (
  outputs: Outputs,
  replace: (node: Expression, same: Expression, renewed: (earlier: Expression) => Expression) => Expression,
): Outputs => {
  const made = new Map<Expression, Expression>()
  const renewed = (node: Expression): Expression => made.get(node) ?? node
  for (const node of topologicalOrder(Object.values(outputs))) {
    const inputs = node.inputs.map(renewed)
    made.set(node, replace(node, inputs.every((x, i) => x === node.inputs[i]) ? node : { ...node, inputs }, renewed))
  }
  return Object.fromEntries(Object.entries(outputs).map(([name, node]) => [name, renewed(node)]))
}

export const node = (op: Op, inputs: readonly Expression[], shape: Shape, dtype: DType, attributes: Attributes = {}): Expression => ({
  op,
  inputs,
  attributes,
  shape,
  dtype,
})

/** @throws Error for a mistake of the programmer */
export const fail = (op: string, expected: string, got: string): never => {
  throw new Error(`${op}: expected ${expected}, got ${got}`)
}

/** `v2: float32 [tokens, 8] = MatMul(v0, v1) {transposeB: true}` … ending with the named results. */
export const print = (outputs: Outputs): string => {
  const order = topologicalOrder(Object.values(outputs))
  const names = new Map(order.map((node, i) => [node, node.attributes.name ?? `v${i}`]))
  const lines = order.map((node) => {
    const attributes = Object.entries(node.attributes)
      .filter(([key, value]) => key !== 'name' && value !== undefined && value !== false)
      .map(([key, value]) => `${key}: ${showAttribute(value)}`)
    const inputs = node.inputs.map((x) => names.get(x)).join(', ')
    return `${names.get(node)}: ${node.dtype} ${showShape(node.shape)} = ${node.op}(${inputs})${attributes.length > 0 ? ` {${attributes.join(', ')}}` : ''}`
  })
  return [...lines, ...Object.entries(outputs).map(([name, node]) => `${name} = ${names.get(node)}`)].join('\n')
}

/** Long lists are shortened to their length: the parts of a Split show their shapes on their own lines. */
const showAttribute = (value: Attributes[keyof Attributes]): string => {
  if (value instanceof Float64Array || Array.isArray(value))
    return value.length > 6 ? `${value.length} numbers` : `[${[...value].join(', ')}]`
  return typeof value === 'object' ? JSON.stringify(value) : `${value}`
}
