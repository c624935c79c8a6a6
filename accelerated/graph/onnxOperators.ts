/** Writes each operator in ONNX: the table has exactly the operators' names as keys, so a missing one does not compile. */
import { product } from './dimension.js'
import { type Dimension, type Expression, type Op, type ScanBody, topologicalOrder } from './expression.js'
import type { OnnxBuilder, PendingNode } from './onnxBuilder.js'
import {
  emitBlockProduct,
  emitBlocks,
  emitFourBitProduct,
  emitFourBits,
  emitHalfProduct,
  emitProduct,
  emitQuantizedProduct,
} from './onnxProducts.js'
import { type AttributeValue, elementType } from './onnxProto.js'
import type { RuntimeShapes } from './onnxShapes.js'
import { unsignedZero } from './quantizedOperators.js'

/** Adds the nodes that compute the value; → its name. */
type Serializer = (pending: PendingNode, builder: OnnxBuilder, shapes: RuntimeShapes) => string

/** For each of these, one node of the same name, with the same operands. */
const asTheyAre = <Name extends Op>(...names: readonly Name[]): Readonly<Record<Name, Serializer>> => {
  const asItIs: Serializer = ({ node, x, result }, { emit }) => emit(node.op, x, {}, [result])
  return Object.fromEntries(names.map((name) => [name, asItIs])) as Record<Name, Serializer>
}

const withAttributes =
  (opType: string, attributes: (node: Expression) => Readonly<Record<string, AttributeValue>>): Serializer =>
  ({ node, x, result }, { emit }) =>
    emit(opType, x, attributes(node), [result])

/** One node with further operands, because ONNX takes these numbers and shapes as tensors. */
const withOperands =
  (
    opType: string,
    operands: (node: Expression, builder: OnnxBuilder, shapes: RuntimeShapes) => readonly string[],
    attributes: (node: Expression) => Readonly<Record<string, AttributeValue>> = () => ({}),
  ): Serializer =>
  ({ node, x, result }, builder, shapes) =>
    builder.emit(opType, [...x, ...operands(node, builder, shapes)], attributes(node), [result])

const reduction = (opType: 'ReduceSum' | 'ReduceMean'): Serializer =>
  withOperands(
    opType,
    ({ attributes }, { integers }) => [integers(attributes.axes ?? [])],
    ({ attributes }) => ({ keepdims: attributes.keepDimensions === true ? 1 : 0 }),
  )

/** @param outputs their numbers, where a further one is read */
const normalization =
  (opType: string, outputs: readonly number[]): Serializer =>
  ({ node, x, result, manyOutputs }, { emit }) => {
    const results = manyOutputs ? outputs.map((output) => outputName(node, result, output)) : [result]
    return emit(opType, x, { axis: -1, epsilon: { float: node.attributes.epsilon ?? 1e-5 } }, results)
  }

const serializers: Readonly<Record<Op, Serializer>> = {
  Input: ({ node }) => node.attributes.name ?? '',
  Constant: ({ node }, { constant }) => constant(node.attributes.data ?? [], node.shape as readonly number[], node.dtype),
  Weight: ({ node }, { weight }) => {
    const { name = '', external } = node.attributes
    if (external === undefined) throw new Error(`toOnnx: weight ${name} has no external data`)
    return weight({ name, shape: node.shape as readonly number[], dataType: elementType(node.dtype), external })
  },

  ...asTheyAre('Add', 'Sub', 'Mul', 'Div', 'Min', 'Max', 'Less', 'Equal', 'Where'),
  ...asTheyAre('Neg', 'Exp', 'Log', 'Sqrt', 'Sigmoid', 'Tanh', 'Erf', 'Sin', 'Cos', 'Relu'),
  Gelu: ({ node, x, result }, { emit, constant, target }) => {
    if (target.fusedGelu === true) return emit('Gelu', x, {}, [result], 'com.microsoft')
    const number = (value: number): string => constant([value], [], node.dtype)
    const half = emit('Mul', [...x, number(0.5)])
    const erf = emit('Erf', [emit('Mul', [...x, number(Math.SQRT1_2)])])
    return emit('Mul', [half, emit('Add', [erf, number(1)])], {}, [result])
  },
  Clip: withOperands('Clip', ({ attributes: { minimum = -Infinity, maximum = Infinity }, dtype }, { constant }) => [
    constant([minimum], [], dtype),
    constant([maximum], [], dtype),
  ]),
  Cast: withAttributes('Cast', ({ dtype }) => ({ to: elementType(dtype) })),

  MatMul: ({ node, x, result }, builder) => emitProduct(builder, node, x, result),
  AddMatMul: ({ node, x: [c = '', a = '', b = ''], result }, { emit, target }, shapes) => {
    const { transposeB = false, alpha = 1 } = node.attributes
    const attributes = { transB: transposeB ? 1 : 0, alpha: { float: alpha } }
    if (target.unknownShapes !== true) return emit('Gemm', [a, b, c], attributes, [result])
    // The runtime knows that a Gemm has two axes, and so would everything that follows.
    return emit('Reshape', [emit('Gemm', [a, b, c], attributes), shapes.reshape(node.shape, node.shape)], {}, [result])
  },
  QuantizedMatMul: (pending, builder, shapes) => emitQuantizedProduct(builder, shapes, pending),
  FourBitMatMul: (pending, builder, shapes) => emitFourBitProduct(builder, shapes, pending),
  FourBitDequantize: (pending, builder) => emitFourBits(builder, pending),
  HalfMatMul: (pending, builder) => emitHalfProduct(builder, pending),
  BlockMatMul: (pending, builder) => emitBlockProduct(builder, pending),
  BlockDequantize: (pending, builder) => emitBlocks(builder, pending),
  CachedAttention: ({ node, x: [query = '', key = '', value = '', ...cache], result }, { emit, target }) => {
    if (target.cachedAttention !== true) throw new Error('toOnnx: expected a target with attention over a cache, got one without')
    const [pastKey = '', pastValue = '', lastKey = '', keyCount = '', bias = ''] = cache
    const { heads = 1, alpha = 1, cap, names = [] } = node.attributes
    return emit(
      'GroupQueryAttention',
      [query, key, value, pastKey, pastValue, lastKey, keyCount, '', '', '', bias],
      {
        num_heads: heads,
        kv_num_heads: Number(node.inputs[3]?.shape[1]),
        scale: { float: alpha },
        ...(cap === undefined ? {} : { softcap: { float: cap } }),
      },
      [result, ...names],
      'com.microsoft',
    )
  },
  TransposedView: ({ x: [levels = ''] }) => levels, // by emitQuantizedProduct
  Dequantize: ({ node, x: [stored = '', , scales = ''], result }, { emit, integers, constant }) => {
    const cast = emit('Cast', [stored], { to: elementType('float32') })
    const levels = node.inputs[0]?.dtype === 'uint8' ? emit('Sub', [cast, constant([unsignedZero], [], 'float32')]) : cast
    return emit('Mul', [levels, emit('Unsqueeze', [scales, integers([-1])])], {}, [result])
  },
  Softmax: withAttributes('Softmax', () => ({ axis: -1 })),
  LogSoftmax: ({ x: [x = ''], result }, builder) => {
    if (!lacks(builder, 'LogSoftmax')) return builder.emit('LogSoftmax', [x], { axis: -1 }, [result])
    const { shifted, logarithm } = rowLogarithms(builder, x)
    return builder.emit('Sub', [shifted, logarithm], {}, [result])
  },
  LayerNormalization: normalization('LayerNormalization', [0, 1, 2]),
  RmsNormalization: normalization('SimplifiedLayerNormalization', [0, 1]),
  RotaryEmbedding: ({ node: { shape, attributes }, x: [x = '', cosine = '', sine = ''], result }, { emit, integers, constant }, shapes) => {
    const { heads = 1 } = attributes
    const oneRow = emit('Reshape', [x, shapes.reshape(shape, [1, ...shape])])
    const fromFirst = constant([0], [1], 'int64')
    const rotated = emit('RotaryEmbedding', [oneRow, fromFirst, cosine, sine], { num_heads: heads }, undefined, 'com.microsoft')
    return emit('Squeeze', [rotated, integers([0])], {}, [result])
  },
  ReduceSum: reduction('ReduceSum'),
  ReduceMean: reduction('ReduceMean'),
  // x − log softmax x, in the first column. ReduceLogSumExp adds 50,000 float32 numbers one by one and loses 1e-4.
  LogSumExp: ({ x: [x = ''], result }, builder) => {
    const { emit, integers } = builder
    if (lacks(builder, 'LogSoftmax')) {
      const { largest, logarithm } = rowLogarithms(builder, x)
      return emit('Squeeze', [emit('Add', [largest, logarithm]), integers([-1])], {}, [result])
    }
    const first = (of: string): string => emit('Slice', [of, integers([0]), integers([1]), integers([-1])])
    const logarithm = emit('Sub', [first(x), first(emit('LogSoftmax', [x], { axis: -1 }))])
    return emit('Squeeze', [logarithm, integers([-1])], {}, [result])
  },
  CumulativeSum: withOperands('CumSum', ({ attributes }, { constant }) => [constant([attributes.axis ?? 0], [], 'int64')]),

  Reshape: withOperands('Reshape', ({ inputs, shape }, _, shapes) => [shapes.reshape(inputs[0]?.shape ?? [], shape)]),
  Transpose: withAttributes('Transpose', ({ attributes }) => ({ perm: attributes.permutation ?? [] })),
  Expand: withOperands('Expand', ({ shape }, _, shapes) => [shapes.shape(shape)]),
  Concat: withAttributes('Concat', ({ attributes }) => ({ axis: attributes.axis ?? 0 })),
  Slice: withOperands('Slice', ({ attributes: { axis = 0, before = 0, after = 0 }, shape }, { integers }) => [
    ...stretch(before, shape[axis] ?? 0, after).map((place) => integers([place])),
    integers([axis]),
  ]),
  SliceVector: withOperands('Slice', (_, { integers }) => [integers([0])]),
  Split: ({ node, x, result }, { emit, integers, target }) => {
    const { sizes = [], axis = 0 } = node.attributes
    const parts = sizes.map((size, i) => ({ name: outputName(node, result, i), start: sizes.slice(0, i).reduce((a, b) => a + b, 0), size }))
    if (sizes.length > (target.largestSplit ?? Infinity))
      for (const { name, start, size } of parts)
        emit('Slice', [...x, integers([start]), integers([start + size]), integers([axis])], {}, [name])
    else
      emit(
        'Split',
        [...x, integers(sizes)],
        { axis },
        parts.map(({ name }) => name),
      )
    return result
  },
  OutputOf: ({ node: { inputs, attributes }, x: [parent = ''] }) => outputName(inputs[0], parent, attributes.output ?? 0),
  StopGradient: ({ x: [value = ''] }) => value,
  Checkpoint: ({ x: [value = ''] }) => value,
  ControlDependency: (pending, builder, shapes) => emitControlDependency(builder, shapes, pending),
  Scan: (pending, builder, shapes) => emitScan(builder, shapes, pending),
  Size: ({ node }, _, shapes) => shapes.shape([product(node.attributes.of ?? [])]),

  Gather: withAttributes('Gather', () => ({ axis: 0 })),
  SelectRows: ({ x: [rows = '', index = ''], result }, { emit }) => emit('Gather', [rows, index], { axis: 0 }, [result]),
  SelectColumns: withOperands(
    'Gather',
    ({ attributes: { places = [] } }, { integers }) => [integers(places)],
    () => ({ axis: 1 }),
  ),
  ReplaceColumns: ({ node, x, result }, { emit, integers }, shapes) => {
    const { places = [] } = node.attributes
    const index = emit('Expand', [emit('Unsqueeze', [integers(places), integers([0])]), shapes.shape(node.inputs[1]?.shape ?? [])])
    return emit('ScatterElements', [x[0] ?? '', index, x[1] ?? ''], { axis: 1 }, [result])
  },
  ScatterAddRows: ({ node, x: [updates = '', index = ''], result }, { emit, constant, integers }, shapes) => {
    const zeros = emit('Expand', [constant([0], [], node.dtype), shapes.shape(node.shape)])
    const places = emit('Unsqueeze', [emit('Cast', [index], { to: elementType('int64') }), integers([-1])])
    return emit('ScatterND', [zeros, places, updates], { reduction: 'add' }, [result])
  },
}

/**
 * Writes nodes in this order. `names` has the names of those that are there already, and gets the others'.
 * @param nameFor the name of a value that has none yet
 */
export const emitNodes = (
  order: readonly Expression[],
  names: Map<Expression, string>,
  nameFor: (node: Expression) => string,
  builder: OnnxBuilder,
  shapes: RuntimeShapes,
): void => {
  const withManyOutputs = new Set(order.filter(({ op }) => op === 'OutputOf').map((node) => node.inputs[0]))
  for (const node of order) {
    if (names.has(node)) continue
    const x = node.inputs.map((operand) => names.get(operand) ?? '')
    names.set(node, serializers[node.op]({ node, x, result: nameFor(node), manyOutputs: withManyOutputs.has(node) }, builder, shapes))
  }
}

/** The body reads the operands that are not sliced, and sizes, from the graph around it. It hands each sum so far to the next slice. */
const emitScan = ({ emit, inner }: OnnxBuilder, shapes: RuntimeShapes, { node, x, result }: PendingNode): string => {
  const body = getBody(node)
  const prefix = `${result}/`
  const builder = inner(prefix)
  const names = new Map([
    ...body.slices.map((slice, i) => [slice, `${prefix}slice${i}`] as const),
    ...body.shared.map((value, i) => [value, x[body.slices.length + i] ?? ''] as const),
  ])
  emitNodes(topologicalOrder([...body.results, ...body.sums]), names, ({ op }) => `${prefix}${op}:${names.size}`, builder, shapes)
  const declared = (value: Expression, name = names.get(value) ?? '') => ({ name, dataType: elementType(value.dtype), shape: value.shape })
  const sums = body.sums.map((sum, i) => {
    const soFar = `${prefix}sum${i}`
    return { before: declared(sum, soFar), after: declared(sum, builder.emit('Add', [soFar, names.get(sum) ?? ''])) }
  })
  const graph = {
    nodes: builder.nodes,
    inputs: [...sums.map(({ before }) => before), ...body.slices.map((slice) => declared(slice))],
    outputs: [...sums.map(({ after }) => after), ...body.results.map((value) => declared(value))],
  }
  const outputs = [...body.results, ...body.sums].map((_, i) => outputName(node, result, i))
  emit(
    'Scan',
    [...x.slice(body.slices.length + body.shared.length), ...x.slice(0, body.slices.length)],
    { num_scan_inputs: body.slices.length, body: { graph } },
    [...outputs.slice(body.results.length), ...outputs.slice(0, body.results.length)],
  )
  return result
}

const lacks = ({ target }: OnnxBuilder, operator: 'LogSoftmax' | 'Size'): boolean => target.lacks?.includes(operator) === true

/** m = max x, x − m and log Σ exp(x − m) of each row. No sum overflows, and the largest term of each is 1. */
const rowLogarithms = (
  { emit, integers }: OnnxBuilder,
  x: string,
): { readonly largest: string; readonly shifted: string; readonly logarithm: string } => {
  const largest = emit('ReduceMax', [x, integers([-1])], { keepdims: 1 })
  const shifted = emit('Sub', [x, largest])
  const logarithm = emit('Log', [emit('ReduceSum', [emit('Exp', [shifted]), integers([-1])], { keepdims: 1 })])
  return { largest, shifted, logarithm }
}

const getBody = ({ attributes: { body } }: Expression): ScanBody => {
  if (body === undefined) throw new Error('toOnnx: expected a Scan with a body, got none')
  return body
}

/**
 * A Reshape to sizes of 0, which means the operand's own size: 0 times the sizes of the values to wait for. The runtime folds the known part of a
 * Shape, so the sizes must be computed at run time. Shape computes a named dimension, and Size a value of known sizes. A provider
 * without Size leaves it to the CPU, which reads the whole value. Shape counts a view of it instead, of a length that only a run knows.
 */
const emitControlDependency = (
  builder: OnnxBuilder,
  shapes: RuntimeShapes,
  { node, x: [x = '', ...others], result }: PendingNode,
): string => {
  const { emit, integers } = builder
  const emitSize = (value: string): string => {
    const length = lacks(builder, 'Size') ? shapes.allOfIt() : null
    return length === null ? emit('Size', [value]) : emit('Shape', [emit('Reshape', [value, length])])
  }
  const sizes = others.map((other, i) => {
    const named = (node.inputs[i + 1]?.shape ?? []).findIndex((d) => typeof d === 'string')
    return named < 0 ? emitSize(other) : emit('Shape', [other], { start: named, end: named + 1 })
  })
  const zeros = emit('Mul', [emit('Max', sizes), integers(node.shape.map(() => 0))])
  return emit('Reshape', [x, zeros], {}, [result])
}

/** The start and end of a part of an axis: counted from the start (≥ 0) if that is known, else from the end (< 0). */
const stretch = (before: Dimension, size: Dimension, after: Dimension): readonly [number, number] => {
  if (typeof before === 'number' && typeof size === 'number') return [before, before + size]
  if (typeof before === 'number' && typeof after === 'number') return [before, after === 0 ? axisEnd : -after]
  if (typeof size === 'number' && typeof after === 'number') return [-size - after, after === 0 ? axisEnd : -after]
  throw new Error(`toOnnx: expected one unknown size at most in a slice, got ${before}, ${size}, ${after}`)
}

/** ONNX clamps a position beyond the end. No axis is longer than an int32. */
const axisEnd = 2 ** 31 - 1

/** The name of output 0, 1, 2, … of a node whose value has the name `first`. */
const outputName = (node: Expression | undefined, first: string, output: number): string =>
  output === 0
    ? first
    : (node?.attributes.names?.[output - 1] ??
      `${first}:${node?.op === 'Split' || node?.op === 'Scan' ? output : node?.op === 'LayerNormalization' && output === 1 ? 'mean' : 'inverseDeviation'}`)
