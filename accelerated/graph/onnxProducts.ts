/** Matrix products: α op(A) op(B) as FusedMatMul, Gemm, or the plain product and what it lacks. */
import type { Expression } from './expression.js'
import type { Draft } from './onnxDraft.js'

/** Emits the product of the values `left` and `right` as `result`. */
export const emitProduct = (
  { emit, constant, target }: Draft,
  node: Expression,
  [left = '', right = '']: ReadonlyArray<string>,
  result: string,
): string => {
  const { transposeA = false, transposeB = false, alpha = 1 } = node.attributes
  if (!transposeA && !transposeB && alpha === 1) return emit('MatMul', [left, right], {}, [result])
  // α is an attribute, and so a float32: a float64 product is multiplied by it. As P + (α − 1) P, since ONNX Runtime fuses α P back into the attribute.
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
