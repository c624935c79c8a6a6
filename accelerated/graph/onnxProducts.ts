/** Matrix products: α op(A) op(B) as FusedMatMul, Gemm, or MatMul with further nodes; and products with a matrix in int8, int4 or float16. */
import type { Expression } from './expression.js'
import type { OnnxBuilder, PendingNode } from './onnxBuilder.js'
import { bitsPerLevel, blockSize, unsignedZero, zeroScale } from './quantizedOperators.js'
import { elementType } from './onnxProto.js'
import type { RuntimeShapes } from './onnxShapes.js'

/** Emits the product of the values `left` and `right` as `result`. */
export const emitProduct = (
  { emit, constant, target }: OnnxBuilder,
  node: Expression,
  [left = '', right = '']: readonly string[],
  result: string,
): string => {
  const { transposeA = false, transposeB = false, alpha = 1 } = node.attributes
  if (!transposeA && !transposeB && alpha === 1) return emit('MatMul', [left, right], {}, [result])
  // α is an attribute and so a float32. A float64 product is P + (α − 1) P instead: ONNX Runtime would fuse α P back into the attribute.
  const exact = node.dtype !== 'float64' || Math.fround(alpha) === alpha
  const scaled = (product: string): string =>
    emit('Add', [product, emit('Mul', [product, constant([alpha - 1], [], node.dtype)])], {}, [result])
  const flags = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0, alpha: { float: exact ? alpha : 1 } }
  if (target.fusedMatMul && node.dtype === 'float32') return emit('FusedMatMul', [left, right], flags, [result], 'com.microsoft')
  if (node.shape.length === 2) return exact ? emit('Gemm', [left, right], flags, [result]) : scaled(emit('Gemm', [left, right], flags))
  const rank = node.shape.length
  const perm = Array.from({ length: rank }, (_, i) => (i === rank - 2 ? rank - 1 : i === rank - 1 ? rank - 2 : i))
  const a = transposeA ? emit('Transpose', [left], { perm }) : left
  const b = transposeB ? emit('Transpose', [right], { perm }) : right
  if (!exact) return scaled(emit('MatMul', [a, b]))
  if (alpha === 1) return emit('MatMul', [a, b], {}, [result])
  return emit('Mul', [emit('MatMul', [a, b]), constant([alpha], [], node.dtype)], {}, [result])
}

const largestLevel = 127
/** The least scale of a row: a row of zeros then has levels of 0. */
const smallestScale = 1e-30

/** max(|row|, least): [rows, n] → [rows, 1] */
const rowMagnitudes = ({ share, integers, constant }: OnnxBuilder, x: string, least: number): string => {
  const highest = share('ReduceMax', [x, integers([-1])], { keepdims: 1 })
  const lowest = share('ReduceMin', [x, integers([-1])], { keepdims: 1 })
  return share('Max', [highest, share('Neg', [lowest]), constant([least], [], 'float32')]) // Abs of all of x is slower
}

/** Levels of the rows of x by their own scales, around 128 in uint8 or around 0 in int8. scale: [rows, 1] */
const quantizedRows = (
  builder: OnnxBuilder,
  shapes: RuntimeShapes,
  input: Expression | undefined,
  x: string,
  type: 'int8' | 'uint8',
): { readonly levels: string; readonly scale: string } => {
  const { share, constant, sizes } = builder
  const [rows = 1] = input?.shape ?? []
  const scale = share('Mul', [rowMagnitudes(builder, x, largestLevel * smallestScale), constant([1 / largestLevel], [], 'float32')])
  const zeros = share('Expand', [constant([type === 'int8' ? 0 : unsignedZero], [1], type), shapes.shape([rows])])
  return { levels: share('QuantizeLinear', [x, share('Reshape', [scale, sizes([-1])]), zeros], { axis: 0 }), scale }
}

/** The zero points of a product of x in uint8: the matrix needs none in int8. */
const zeroPoints = ({ constant }: OnnxBuilder, isSigned: boolean): readonly string[] => {
  const zero = constant([unsignedZero], [], 'uint8')
  return isSigned ? [zero] : [zero, zero]
}

/** The right factor of a product in int8: as it is stored, or shifted to uint8 where products of uint8 and int8 saturate. */
const rightFactor = (
  { emit, constant, target }: OnnxBuilder,
  other: Expression | undefined,
  stored: string,
): { readonly matrix: string; readonly isSigned: boolean } => {
  const isView = other?.op === 'TransposedView'
  const source = isView ? other.inputs[0] : other
  const inOrder = (levels: string): string => (isView ? emit('Transpose', [levels], { perm: [1, 0] }) : levels)
  const isSigned = source?.dtype === 'int8' && target.saturates !== true
  if (source === undefined || isSigned || source.dtype === 'uint8') return { matrix: inOrder(stored), isSigned }
  const { data } = source.attributes
  if (data === undefined)
    throw new Error(`toOnnx: expected levels in uint8, since products with int8 saturate on this processor, got ${stored} in int8`)
  const shifted = Array.from(data, (level) => level + unsignedZero)
  return { matrix: inOrder(constant(shifted, source.shape.map(Number), 'uint8')), isSigned }
}

/** Quantizes the rows of x to uint8 by their own scales, multiplies in int32, and applies the scales of rows and columns. */
export const emitQuantizedProduct = (
  builder: OnnxBuilder,
  shapes: RuntimeShapes,
  { node, x: [x = '', , stored = '', scales = ''], result }: PendingNode,
): string => {
  const { emit, constant, target } = builder
  if (target.quantizedMatMul === undefined || target.quantizedMatMul === false)
    throw new Error('toOnnx: expected a target with products in int8, got one without')
  const [input, , other] = node.inputs
  const { levels, scale } = quantizedRows(builder, shapes, input, x, 'uint8')
  const { matrix, isSigned } = rightFactor(builder, other, stored)
  const zeros = zeroPoints(builder, isSigned)
  if (target.quantizedMatMul === 'plain') {
    const sums = emit('MatMulInteger', [levels, matrix, ...zeros]) // int32
    return emit('Mul', [emit('Mul', [emit('Cast', [sums], { to: elementType('float32') }), scales]), scale], {}, [result])
  }
  const product = emit(
    'MatMulIntegerToFloat',
    [levels, matrix, constant([1], [], 'float32'), scales, ...zeros],
    {},
    undefined,
    'com.microsoft',
  )
  return emit('Mul', [product, scale], {}, [result])
}

/**
 * The same with levels in four bits, which each product expands to eight for itself: kept, they would take the memory of int8. Backwards they are the
 * right factor. Forward they are the left one: that takes less time than their transpose. The left factor is unsigned, and so is the right one
 * where products of uint8 and int8 saturate.
 */
export const emitFourBitProduct = (
  builder: OnnxBuilder,
  shapes: RuntimeShapes,
  { node, x: [x = '', ...matrix], result }: PendingNode,
): string => {
  const { emit, constant, target } = builder
  if (target.quantizedMatMul !== true) throw new Error('toOnnx: expected a target with products in int8, got one without')
  const one = constant([1], [], 'float32')
  const isSigned = target.saturates !== true
  const [right, zeros] = [isSigned ? ('int8' as const) : ('uint8' as const), zeroPoints(builder, isSigned)]
  const [, , scales = ''] = matrix
  const product = (factors: readonly string[]): string => emit('MatMulIntegerToFloat', factors, {}, undefined, 'com.microsoft')
  if (node.attributes.transposeB === true) {
    const { levels, scale } = quantizedRows(builder, shapes, node.inputs[0], x, right)
    const rows = emit('Transpose', [levels], { perm: [1, 0] })
    const columns = product([
      emitFourBitLevels(builder, node, matrix, 'uint8'),
      rows,
      one,
      emit('Reshape', [scale, builder.sizes([-1])]),
      ...zeros,
    ])
    return emit('Mul', [emit('Transpose', [columns], { perm: [1, 0] }), scales], {}, [result])
  }
  const { levels, scale } = quantizedRows(builder, shapes, node.inputs[0], x, 'uint8')
  return emit('Mul', [product([levels, emitFourBitLevels(builder, node, matrix, right), one, scales, ...zeros]), scale], {}, [result])
}

/** The matrix in float32. */
export const emitFourBits = (builder: OnnxBuilder, { node, x, result }: PendingNode): string => {
  const { emit, integers } = builder
  const levels = emit('Cast', [emitFourBitLevels(builder, node, x, 'int8')], { to: elementType('float32') })
  const [, , scales = ''] = x
  return emit('Mul', [levels, node.inputs[2]?.shape.length === 0 ? scales : emit('Unsqueeze', [scales, integers([-1])])], {}, [result])
}

/** L = kq in int8, or L + 128 in uint8. The operator rounds products of real numbers; these are whole. → [p, columns] */
const emitFourBitLevels = (
  { emit, constant, integers, sizes }: OnnxBuilder,
  { op, inputs, attributes: { columns = 0 } }: Expression,
  [packed = '', blockScales = '']: readonly string[],
  type: 'int8' | 'uint8',
): string => {
  const [p, blocks] = (inputs[op === 'FourBitMatMul' ? 2 : 1]?.shape ?? []).map(Number)
  if (p === undefined || blocks === undefined) throw new Error('toOnnx: expected a matrix in four bits, got none')
  const [one, number] = [constant([1], [], 'float32'), (value: number): string => constant([value], [], type)]
  const [q, k] = [packed, emit('Unsqueeze', [blockScales, integers([-1])])].map((value, i) =>
    i === 1 && type === 'uint8' ? value : emit('Cast', [value], { to: elementType(type) }),
  )
  const zeros = { levels: number(8), scales: number(zeroScale), products: number(type === 'int8' ? 0 : unsignedZero) }
  const operands = [q ?? '', one, zeros.levels, k ?? '', one, zeros.scales, one, zeros.products]
  const levels = emit('Reshape', [emit('QLinearMul', operands, {}, undefined, 'com.microsoft'), sizes([p, -1])])
  return columns === blocks * blockSize ? levels : emit('Slice', [levels, integers([0]), integers([columns]), integers([1])])
}

/** x Wᵀ of a matrix in blocks, whose levels and scales the runtime reads once for each row of x. It rounds blocks of x to int8 as well. */
export const emitBlockProduct = ({ emit, target }: OnnxBuilder, { node, x, result }: PendingNode): string => {
  const { inputs, shape } = node
  if (target.quantizedMatMul !== true) throw new Error('toOnnx: expected a target with products in int8, got one without')
  const [K, N] = [Number(inputs[0]?.shape[1]), Number(shape[1])]
  return emit(
    'MatMulNBits',
    x,
    { K, N, bits: bitsPerLevel(inputs[1] ?? node), block_size: blockSize, accuracy_level: int8Activations },
    [result],
    'com.microsoft',
  )
}

/** The runtime's name for products in int8: others turn blocks into float32 first, seventy times slower. */
const int8Activations = 4

/** The matrix in float32. The last block of a row may be longer than the row. */
export const emitBlocks = (
  { emit, integers, constant, sizes }: OnnxBuilder,
  { node: { shape, inputs }, x: [stored = '', scales = ''], result }: PendingNode,
): string => {
  const [rows, columns] = [Number(shape[0]), Number(shape[1])]
  const isPacked = inputs[0] !== undefined && bitsPerLevel(inputs[0]) === 4
  const unpacked = (): string => {
    const first = emit('BitwiseAnd', [stored, constant([15], [], 'uint8')])
    const second = emit('BitShift', [stored, constant([4], [], 'uint8')], { direction: 'RIGHT' })
    const pairs = [first, second].map((half) => emit('Unsqueeze', [half, integers([-1])]))
    return emit('Reshape', [emit('Concat', pairs, { axis: -1 }), sizes([rows, -1, blockSize])])
  }
  const levels = emit('Cast', [isPacked ? unpacked() : stored], { to: elementType('float32') })
  const centered = emit('Sub', [levels, constant([isPacked ? 8 : unsignedZero], [], 'float32')])
  const values = emit('Mul', [centered, emit('Unsqueeze', [scales, integers([-1])])])
  const padded = emit('Reshape', [values, sizes([rows, -1])])
  return emit('Slice', [padded, integers([0]), integers([columns]), integers([1])], {}, [result])
}

/** Rounds the rows of x to float16 by their own scales, multiplies in float16, and applies the scales. */
export const emitHalfProduct = (builder: OnnxBuilder, { node, x: [x = '', W = ''], result }: PendingNode): string => {
  const { emit, target } = builder
  if (target.halfMatMul !== true) throw new Error('toOnnx: expected a target with products in float16, got one without')
  const scale = rowMagnitudes(builder, x, smallestScale) // [rows, 1]
  const half = emit('Cast', [emit('Div', [x, scale])], { to: elementType('float16') })
  const product = emit('Gemm', [half, W], { transB: node.attributes.transposeB === true ? 1 : 0 })
  return emit('Mul', [emit('Cast', [product], { to: elementType('float32') }), scale], {}, [result])
}
