/** Operators of frozen matrices in int8, in four bits, in blocks and in float16: products with them, and the matrices themselves. */
import { type Expression, sameShape, showShape, fail, node } from './expression.js'
import { scalar } from './operators.js'

/** The transpose of a matrix of levels without a copy: each product transposes it for itself. [p, k] → [k, p] */
export const transposedView = (levels: Expression): Expression => {
  const [p, k, more] = levels.shape
  if (p === undefined || k === undefined || more !== undefined) return fail('turned', 'a matrix', showShape(levels.shape))
  return node('TransposedView', [levels], [k, p], levels.dtype)
}

/** The level of 0 where levels are unsigned. */
export const unsignedZero = 128

/**
 * A matrix W ≈ diag(scales) levels in both orientations. levels: [p, k], transposed: [k, p], in int8 or in uint8 around 128.
 * scales: float32 [p] (default: 1)
 */
export type QuantizedMatrix = { readonly levels: Expression; readonly transposed: Expression; readonly scales?: Expression }

/**
 * (round(x) levelsᵀ) ⊙ scales, where round quantizes each row of x to 255 levels of its largest magnitude. The gradient ignores the rounding, and is
 * a product of the same kind (SwitchBack: Wortsman et al., 2023). x: float32 [n, k] → [n, p]
 */
export const quantizedMatMul = (x: Expression, { levels, transposed, scales = scalar(1, 'float32') }: QuantizedMatrix): Expression => {
  const shapes = `${showShape(x.shape)} · ${showShape(levels.shape)}ᵀ, ${showShape(transposed.shape)} and ${showShape(scales.shape)}`
  const [n, k, more] = x.shape
  const [p, inner] = levels.shape
  if (n === undefined || more !== undefined || k !== inner || p === undefined) return fail('quantizedMatMul', 'matrices that fit', shapes)
  if (!sameShape(transposed.shape, [inner ?? 1, p]) || (scales.shape.length > 0 && !sameShape(scales.shape, [p])))
    return fail('quantizedMatMul', 'a matrix both ways round, with a scale a row', shapes)
  const types = [x, levels, transposed, scales].map(({ dtype }) => dtype).join()
  if (types !== 'float32,int8,int8,float32' && types !== 'float32,uint8,uint8,float32')
    return fail('quantizedMatMul', 'float32, levels in int8 or uint8 twice, and float32', types)
  return node('QuantizedMatMul', [x, levels, transposed, scales], [n, p], 'float32')
}

/** diag(scales) levels in float32: the matrix itself, for uses other than its products. → [p, k] */
export const dequantize = ({ levels, transposed, scales = scalar(1, 'float32') }: QuantizedMatrix): Expression =>
  node('Dequantize', [levels, transposed, scales], levels.shape, 'float32')

/** Values that share a scale: the size of llama.cpp's Q8_0 blocks. */
export const blockSize = 32

/** The scale 0 of a block in four bits, as stored. */
export const zeroScale = 16

/**
 * A matrix in four bits: W ≈ diag(scales) L. The levels L = kq are whole numbers that fit int8. Each block of 32 values q of a row, from −8 to 7, has
 * its scale k, from −15 to 15. levels: q + 8 in uint4 [p, blocks, 32], blockScales: k + 16 in uint8 [p, blocks], scales: float32 [p] (default: 1)
 */
export type FourBitMatrix = {
  readonly levels: Expression
  readonly blockScales: Expression
  readonly scales?: Expression
  /** of W: the last block of a row may be longer */
  readonly columns: number
}

/**
 * (round(x) Lᵀ) ⊙ scales, or round(x) L if `transposed` is false: quantizedMatMul, on levels that each product expands for itself. The gradient is a
 * product of the same kind. x: float32 [n, columns] → [n, p], or [n, p] → [n, columns]
 */
export const fourBitMatMul = (x: Expression, matrix: FourBitMatrix, transposed = true): Expression => {
  const { inputs, shape } = fourBitDequantize(matrix)
  if (!transposed && inputs[2]?.shape.length !== 0) return fail('fourBitMatMul', 'no scales of rows', showShape(inputs[2]?.shape ?? []))
  const [p = 1, columns = 1] = shape
  const [n, k, more] = x.shape
  if (n === undefined || more !== undefined || k !== (transposed ? columns : p) || x.dtype !== 'float32')
    return fail('fourBitMatMul', `rows of float32 for ${showShape(shape)}${transposed ? 'ᵀ' : ''}`, `${x.dtype} ${showShape(x.shape)}`)
  return node('FourBitMatMul', [x, ...inputs], [n, transposed ? p : columns], 'float32', {
    transposeB: transposed,
    columns: matrix.columns,
  })
}

/** diag(scales) L in float32: the matrix itself, for uses other than its products. → [p, columns] */
export const fourBitDequantize = ({ levels, blockScales, scales = scalar(1, 'float32'), columns }: FourBitMatrix): Expression => {
  const all = [levels, blockScales, scales]
  const [p = 1] = levels.shape
  const blocks = Math.ceil(columns / blockSize)
  const fits =
    sameShape(levels.shape, [p, blocks, blockSize]) &&
    sameShape(blockScales.shape, [p, blocks]) &&
    (scales.shape.length === 0 || sameShape(scales.shape, [p]))
  if (!fits) return fail('fourBitDequantize', `parts of ${blocks} blocks a row`, all.map(({ shape }) => showShape(shape)).join(', '))
  const types = all.map(({ dtype }) => dtype).join()
  return types === 'uint4,uint8,float32'
    ? node('FourBitDequantize', all, [p, columns], 'float32', { columns })
    : fail('fourBitDequantize', 'uint4, uint8 and float32', types)
}

/** The parts of a matrix in four bits; null for any other expression. */
export const matchFourBit = ({
  op,
  inputs: [levels, blockScales, scales],
  attributes: { columns = 0 },
}: Expression): FourBitMatrix | null =>
  op === 'FourBitDequantize' && levels !== undefined && blockScales !== undefined && scales !== undefined
    ? { levels, blockScales, scales, columns }
    : null

/**
 * A matrix in blocks of 32 values of a row, each with its scale. levels: uint8 [p, blocks, 32] around 128, or two a byte [p, blocks, 16] around 8.
 * scales: float32 [p, blocks]. Lowering turns its products x Wᵀ into BlockMatMul, which rounds blocks of x to int8 too, and its rows into float32. It
 * has no gradient. → float32 [p, columns]
 */
export const blockDequantize = (levels: Expression, scales: Expression, columns: number): Expression => {
  const [p = 1] = levels.shape
  const blocks = Math.ceil(columns / blockSize)
  const types = `${levels.dtype} ${showShape(levels.shape)} and ${scales.dtype} ${showShape(scales.shape)}`
  const fits = [blockSize, blockSize / 2].some((bytes) => sameShape(levels.shape, [p, blocks, bytes]))
  if (!fits || !sameShape(scales.shape, [p, blocks])) return fail('blockDequantize', `levels and scales of ${blocks} blocks`, types)
  return levels.dtype === 'uint8' && scales.dtype === 'float32'
    ? node('BlockDequantize', [levels, scales], [p, columns], 'float32')
    : fail('blockDequantize', 'uint8 and float32', types)
}

/** Bits of a value of a matrix in blocks. */
export const bitsPerLevel = ({ shape }: Expression): 4 | 8 => (shape[2] === blockSize ? 8 : 4)

/** x Wᵀ of a matrix in blocks, given by its levels and scales: what lowering makes of a product. x: float32 [n, k] → [n, p] */
export const blockMatMul = (x: Expression, levels: Expression, scales: Expression): Expression => {
  const [[n = 1, k = 1, more], [p = 1]] = [x.shape, levels.shape]
  const { shape } = blockDequantize(levels, scales, Number(k))
  return more === undefined && x.dtype === 'float32'
    ? node('BlockMatMul', [x, levels, scales], [n, p], 'float32')
    : fail('blockMatMul', `a matrix of float32 for ${showShape(shape)}`, `${x.dtype} ${showShape(x.shape)}`)
}

/** The parts of a matrix in int8; null for any other expression. */
export const matchQuantized = ({ op, inputs: [levels, transposed, scales] }: Expression): QuantizedMatrix | null =>
  op === 'Dequantize' && levels !== undefined && transposed !== undefined && scales !== undefined ? { levels, transposed, scales } : null

/**
 * round(x) Wᵀ in float16, or round(x) W if `transposed` is false. Each row of x is divided by its largest magnitude before rounding, and the product
 * is multiplied by it. So neither large activations nor small gradients leave float16's range. The gradient is the same kind of product.
 * x: float32 [n, k], W: float16 [p, k] (or [k, p]) → float32 [n, p]
 */
export const halfMatMul = (x: Expression, W: Expression, transposed = true): Expression => {
  const shapes = `${showShape(x.shape)} · ${showShape(W.shape)}${transposed ? 'ᵀ' : ''}`
  const [n, k, more] = x.shape
  const [inner, p, third] = transposed ? W.shape.toReversed() : W.shape
  if (n === undefined || more !== undefined || k !== inner || p === undefined || third !== undefined)
    return fail('halfMatMul', 'matrices that fit', shapes)
  if (x.dtype !== 'float32' || W.dtype !== 'float16') return fail('halfMatMul', 'float32 and float16', `${x.dtype} and ${W.dtype}`)
  return node('HalfMatMul', [x, W], [n, p], 'float32', { transposeB: transposed })
}

/** W if x is a cast of W in float16; null for any other expression. */
export const matchHalf = ({ op, inputs: [half] }: Expression): Expression | null =>
  op === 'Cast' && half?.dtype === 'float16' ? half : null
