/**
 * Lowering: replaces operators that a provider lacks for a dtype by operators that it has. Rows and products of a quantized matrix become quantized
 * rows and products. A reshape of a reshape becomes one.
 */
import { type Expression, type Outputs, rewrite, sameShape, type Op, topologicalOrder } from './expression.js'
import { chainsInBlocks, fuseSums, stackProducts, splitSlices } from './fusion.js'
import type { OnnxTarget } from './onnxBuilder.js'
import {
  add,
  cast,
  concat,
  div,
  gather,
  mul,
  reduceMean,
  reshape,
  slice,
  sqrt,
  square,
  sub,
  clip,
  exp,
  less,
  maximum,
  neg,
  where,
  controlDependency,
} from './operators.js'
import { blockMatMul, blockSize, matchQuantized, unsignedZero } from './quantizedOperators.js'

/** As the CPU. */
const everything = { fusedDecoder: true, scan: true }

/**
 * Replaces what ONNX Runtime's CPU provider lacks in float64: `Erf`, GELU and LayerNormalization. Its LayerNormalization gives mean and inverse
 * deviation in float32 for every input, and its ε is an attribute and so a float32.
 */
export const lower = (outputs: Outputs, { fusedDecoder, scan }: Pick<OnnxTarget, 'fusedDecoder' | 'scan'> = everything): Outputs => {
  const statistics = new Map<Expression, Statistics>()
  /** What only the CPU provider has, and only in float32. */
  const lowerDecoder = (node: Expression, [x, scaleOrCosine, sine]: readonly Expression[]): Expression | null => {
    if (x === undefined || scaleOrCosine === undefined || (fusedDecoder === true && node.dtype === 'float32')) return null
    if (node.op === 'RotaryEmbedding' && sine !== undefined) return rotated(x, node.attributes.heads ?? 1, scaleOrCosine, sine)
    if (node.op !== 'RmsNormalization') return null
    const inverseDeviation = div(1, sqrt(add(reduceMean(square(x), [-1], true), node.attributes.epsilon ?? 0)))
    statistics.set(node, { mean: inverseDeviation, inverseDeviation }) // it has no mean
    return mul(mul(x, inverseDeviation), scaleOrCosine)
  }
  const lowerFloat64 = (node: Expression, same: Expression): Expression => {
    const [x, scale, bias] = same.inputs
    if (x === undefined) return same
    if (node.op === 'Erf') return erfFloat64(x)
    if (node.op === 'Gelu') return mul(mul(x, 0.5), add(erfFloat64(mul(x, Math.SQRT1_2)), 1))
    if (node.op === 'LayerNormalization' && scale !== undefined && bias !== undefined) {
      const { mean, inverseDeviation } = computeStatistics(x, node.attributes.epsilon ?? 0)
      statistics.set(node, { mean, inverseDeviation })
      return add(mul(mul(sub(x, mean), inverseDeviation), scale), bias)
    }
    return same
  }
  const findStatistic = ({ op, inputs: [parent], attributes }: Expression): Expression | undefined => {
    const ofParent = op === 'OutputOf' && parent !== undefined ? statistics.get(parent) : undefined
    return attributes.output === 1 ? ofParent?.mean : ofParent?.inverseDeviation
  }
  const lowered = rewrite(outputs, (node, same) => {
    const replaced = node.op === 'Reshape' ? reshapedOnce(same) : (lowerDecoder(node, same.inputs) ?? findStatistic(node))
    return replaced ?? (node.dtype === 'float64' ? lowerFloat64(node, same) : lowerQuantized(same))
  })
  const divided = splitSlices(stackProducts(fuseSums(recomputeActivations(lowered))))
  return scan === true ? chainsInBlocks(divided) : divided
}

const loweredGraphs = new WeakMap<Outputs, Map<string, Outputs>>()

/** The same, once for a graph: an estimate counts the nodes that a session then opens, and a decoder's take a tenth of a second. */
export const loweredOnce: typeof lower = (outputs, target = everything) => {
  const key = `${target.fusedDecoder === true} ${target.scan === true}`
  const forms = loweredGraphs.get(outputs) ?? new Map<string, Outputs>()
  loweredGraphs.set(outputs, forms)
  const form = forms.get(key) ?? lower(outputs, target)
  forms.set(key, form)
  return form
}

/** If the node gathers rows of a matrix in int8 or multiplies by one, the nodes that do so; else the node as it is. */
const lowerQuantized = (same: Expression): Expression => {
  const [x, matrix] = same.inputs
  if (same.op === 'Gather') return x?.op === 'BlockDequantize' ? gatherBlockRows(same) : gatherQuantizedRows(same)
  const { transposeA = false, transposeB = false, alpha = 1 } = same.attributes
  const isProduct = same.op === 'MatMul' && matrix?.op === 'BlockDequantize' && !transposeA && transposeB && alpha === 1
  return isProduct && x !== undefined ? blockProduct(x, matrix) : same
}

const blockProduct = (x: Expression, { inputs: [levels, scales] }: Expression): Expression => {
  if (levels === undefined || scales === undefined) throw new Error('lower: expected levels and scales of a matrix in blocks, got none')
  return blockMatMul(x, levels, scales)
}

/** Rows of a matrix in blocks: levels around 128 times their scales. */
const gatherBlockRows = (same: Expression): Expression => {
  const [matrix, index] = same.inputs
  const [levels, scales] = matrix?.inputs ?? []
  const columns = matrix?.shape[1]
  if (levels === undefined || scales === undefined || index === undefined || columns === undefined) return same
  const [rowScales, rowLevels] = [gather(scales, index), gather(levels, index)]
  const values = mul(sub(cast(rowLevels, 'float32'), unsignedZero), reshape(rowScales, [...rowScales.shape, 1]))
  const [blocks = 1] = scales.shape.slice(1)
  const rows = reshape(values, [...index.shape, Number(blocks) * blockSize])
  return slice(rows, index.shape.length, 0, Number(columns))
}

/** Only here: a gradient may ask for the value in between. */
const reshapedOnce = (node: Expression): Expression => {
  const [x] = node.inputs
  const [original] = x?.op === 'Reshape' ? x.inputs : []
  if (original === undefined) return node
  return sameShape(original.shape, node.shape) ? original : { ...node, inputs: [original] }
}

/** Rows of diag(scales) levels: only the rows asked for become float32, not the matrix. */
const gatherQuantizedRows = (same: Expression): Expression => {
  const [matrix, index] = same.inputs
  const quantized = matrix === undefined ? null : matchQuantized(matrix)
  if (quantized?.scales === undefined || index === undefined || quantized.scales.shape.length !== 1) return same
  const scales = gather(quantized.scales, index)
  const stored = cast(gather(quantized.levels, index), 'float32')
  const levels = quantized.levels.dtype === 'uint8' ? sub(stored, unsignedZero) : stored
  return mul(levels, reshape(scales, [...index.shape, 1]))
}

/** Each head's halves (a, b) as (a cos − b sin, b cos + a sin). x: [tokens, heads · 2h], cosine and sine: [tokens, h] */
const rotated = (x: Expression, heads: number, ...angles: readonly [cosine: Expression, sine: Expression]): Expression => {
  const [tokens = 1, width = 1] = x.shape
  const half = Number(width) / heads / 2
  const [cosine, sine] = angles.map((angle) => reshape(angle, [tokens, 1, half])) as [Expression, Expression]
  const byHead = reshape(x, [tokens, heads, 2 * half])
  const [a, b] = [slice(byHead, 2, 0, half), slice(byHead, 2, half, half)]
  return reshape(concat([sub(mul(a, cosine), mul(b, sine)), add(mul(b, cosine), mul(a, sine))], 2), x.shape)
}

type Statistics = { readonly mean: Expression; readonly inverseDeviation: Expression }

/** μ and 1 / √(σ² + ε) over the last dimension. x: [..., n] → [..., 1] each */
const computeStatistics = (x: Expression, epsilon: number): Statistics => {
  const mean = reduceMean(x, [-1], true)
  return { mean, inverseDeviation: div(1, sqrt(add(reduceMean(square(sub(x, mean)), [-1], true), epsilon))) }
}

// erf in float64, which ONNX Runtime's CPU provider lacks, from operators that it has: the rational approximations of Cody (1969), evaluated
// in float64. The result errs by 3e-16 at most.
/** Below it erf itself is approximated, above it 1 − erf: neither loses digits to a difference. */
const border = 0.46875
/** From here on erf is ±1 to the last bit. */
const saturation = 6

// Coefficients from the highest power down; denominators begin with 1.
const nearNumerator = [0.18577770618460315, 3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694]
const nearDenominator = [1, 23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171]
const farNumerator = [
  2.1531153547440383e-8, 0.5641884969886701, 8.883149794388377, 66.11919063714163, 298.6351381974001, 881.952221241769, 1712.0476126340707,
  2051.0783778260716, 1230.3393547979972,
]
const farDenominator = [
  1, 15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597, 4362.619090143247,
  3439.3676741437216, 1230.3393548037495,
]

/** Σ coefficients[i] x^(n − i) by Horner's rule. */
const polynomial = ([highest = 0, next = 0, ...rest]: readonly number[], x: Expression): Expression =>
  rest.reduce((sum, coefficient) => add(mul(sum, x), coefficient), add(highest === 1 ? x : mul(x, highest), next))

/** erf x = x P(x²) / Q(x²) for |x| < 0.46875 */
const nearZero = (x: Expression): Expression => {
  const squared = square(x)
  return mul(x, div(polynomial(nearNumerator, squared), polynomial(nearDenominator, squared)))
}

/** erf x = 1 − e^(−x²) P(x) / Q(x) for 0.46875 ≤ x ≤ 6 */
const farFromZero = (x: Expression): Expression =>
  sub(1, mul(exp(neg(square(x))), div(polynomial(farNumerator, x), polynomial(farDenominator, x))))

const erfFloat64 = (x: Expression): Expression => {
  const bounded = clip(x, -saturation, saturation)
  const magnitude = maximum(bounded, neg(bounded))
  const far = farFromZero(magnitude)
  return where(less(magnitude, border), nearZero(bounded), where(less(bounded, 0), neg(far), far))
}

// Activations that a step in int8 or int4 computes twice. A product in int8 takes the levels of an activation, so only an adapter's gradient needs its numbers
// later. Keeping them for it would take a third of a step's memory. It computes them again from values that the backward pass needs anyway.
/** Operators that cost little, and whose own gradients need their input. */
const cheap = new Set<Op>(['Gelu', 'LayerNormalization'])

export const recomputeActivations = (outputs: Outputs): Outputs => {
  const order = topologicalOrder(Object.values(outputs))
  const factors = order.flatMap(({ op, inputs: [x] }) =>
    (op === 'QuantizedMatMul' || op === 'FourBitMatMul') && x !== undefined && cheap.has(x.op) ? [x] : [],
  )
  const alreadyDone = order.some(({ op }) => op === 'ControlDependency') // by gradient checkpointing
  if (factors.length === 0 || alreadyDone) return outputs
  const activations = new Set(factors)
  const copies = new Map<Expression, Expression>()
  return rewrite(outputs, (node, same, renewed) => {
    const [signal, activation] = node.inputs
    if (signal === undefined || activation === undefined || !activations.has(activation) || !isRowGradient(node)) return same
    const copy = copies.get(activation) ?? later(renewed(activation), renewed(signal))
    copies.set(activation, copy)
    return { ...node, inputs: [renewed(signal), copy] }
  })
}

/** aᵀ x: only the gradient of a matrix sums over rows. */
const isRowGradient = ({ op, attributes }: Expression): boolean =>
  op === 'MatMul' && attributes.transposeA === true && attributes.transposeB !== true

/** The activation from the same operands, but not before `signal`. */
const later = (activation: Expression, signal: Expression): Expression => ({
  ...activation,
  inputs: activation.inputs.map((x, i) => (i === 0 ? controlDependency(x, [signal]) : x)),
})
