/**
 * Vector-Jacobian products: one line of calculus per operator. A rule takes ȳ (the gradient of the objective with respect to y), y, and the node's
 * inputs. It returns one gradient per input (`null`: none). gradient.ts undoes broadcasting, so no rule mentions it.
 */
import { product } from './dimension.js'
import type { DifferentiableOp, Dimension, Expression, Shape } from './expression.js'
import {
  add,
  cast,
  concat,
  constant,
  cos,
  cut,
  div,
  erf,
  exp,
  expand,
  flattenRows,
  less,
  matMul,
  mul,
  neg,
  selectOutput,
  reduceMean,
  reduceSum,
  replaceColumns,
  reshape,
  rotaryEmbedding,
  scalar,
  scan,
  scatterAddRows,
  selectColumns,
  selectRows,
  sin,
  softmax,
  square,
  sub,
  transpose,
  where,
} from './operators.js'
import { fourBitMatMul, halfMatMul, quantizedMatMul } from './quantizedOperators.js'
import { padded } from './padding.js'

type Rule = (yBar: Expression, y: Expression, ...x: readonly Expression[]) => readonly (Expression | null)[]

export const vjps: Readonly<Record<DifferentiableOp, Rule>> = {
  Add: (yBar) => [yBar, yBar],
  Sub: (yBar) => [yBar, neg(yBar)],
  Mul: (yBar, _, a, b) => [mul(yBar, required(b)), mul(yBar, required(a))],
  Div: (yBar, y, _, b) => [div(yBar, required(b)), neg(div(mul(yBar, y), required(b)))], // ∂(a/b)/∂b = −(a/b)/b
  Neg: (yBar) => [neg(yBar)],
  Exp: (yBar, y) => [mul(yBar, y)],
  Log: (yBar, _, x) => [div(yBar, required(x))],
  Sqrt: (yBar, y) => [div(mul(yBar, 0.5), y)], // (√x)′ = 1 / (2√x)
  // σ′ = σ(1 − σ), tanh′ = 1 − tanh², with ȳ in every factor: nothing can be computed early and held for every layer
  Sigmoid: (yBar, y) => [sub(mul(yBar, y), mul(mul(yBar, y), y))],
  Tanh: (yBar, y) => [sub(yBar, mul(mul(yBar, y), y))],
  Erf: (yBar, _, x) => [mul(yBar, mul(exp(neg(square(required(x)))), 2 / Math.sqrt(Math.PI)))], // erf′ = 2/√π · e^(−x²)
  Sin: (yBar, _, x) => [mul(yBar, cos(required(x)))],
  Cos: (yBar, _, x) => [neg(mul(yBar, sin(required(x))))],
  Gelu: (yBar, _, x) => [mul(yBar, geluSlope(required(x)))],
  Relu: (yBar, y) => [mul(yBar, cast(less(0, y), y.dtype))], // relu′ = 1 where x > 0, and so where y > 0
  Clip: (yBar, y, x) => [mul(yBar, strictlyInside(required(x), y))],
  MatMul: matMulVjp,
  QuantizedMatMul: (yBar, _, _x, levels, transposed, scales) => [
    quantizedMatMul(mul(yBar, required(scales)), { levels: required(transposed), transposed: required(levels) }), // straight-through rounding
    null,
    null,
    null,
  ],
  FourBitMatMul: (yBar, y, _, levels, blockScales, scales) => [
    fourBitMatMul(
      mul(yBar, required(scales)),
      { levels: required(levels), blockScales: required(blockScales), columns: y.attributes.columns ?? 0 },
      y.attributes.transposeB !== true,
    ),
    null,
    null,
    null,
  ],
  HalfMatMul: (yBar, y, _, W) => [halfMatMul(yBar, required(W), y.attributes.transposeB !== true), null], // of a frozen W; straight-through rounding
  Softmax: (yBar, y) => [mul(y, sub(yBar, reduceSum(mul(yBar, y), [-1], true)))], // x̄ = y ⊙ (ȳ − ⟨ȳ, y⟩)
  LogSoftmax: (yBar, y) => [sub(yBar, mul(exp(y), reduceSum(yBar, [-1], true)))], // x̄ = ȳ − softmax · Σȳ
  LogSumExp: (yBar, y, x) => [mul(softmax(required(x)), reshape(yBar, [...y.shape, 1]))], // x̄ = softmax(x) ȳ
  LayerNormalization: layerNormalizationVjp,
  RmsNormalization: rmsNormalizationVjp,
  RotaryEmbedding: (yBar, { attributes: { heads = 1 } }, _, cosine, sine) => [
    rotaryEmbedding(yBar, heads, required(cosine), neg(required(sine))),
    null, // positions are whole numbers
    null,
  ],
  Gather: (yBar, _, table, index) => [scatterAddRows(yBar, required(index), required(table).shape), null],
  SelectRows: selectRowsVjp,
  SelectColumns: (yBar, { attributes: { places = [] } }, x) => [replaceColumns(zerosLike(required(x)), yBar, places)],
  ReplaceColumns: (yBar, { attributes: { places = [] } }, _, columns) => [
    replaceColumns(yBar, zerosLike(required(columns)), places),
    selectColumns(yBar, places),
  ],
  Reshape: (yBar, _, x) => [reshape(yBar, required(x).shape)],
  Transpose: (yBar, y) => [transpose(yBar, inversePermutation(y.attributes.permutation ?? []))],
  Expand: (yBar) => [yBar], // the walk sums it to the input's shape
  ReduceSum: (yBar, y, x) => [expand(withReducedAxes(yBar, y, required(x).shape), required(x).shape)],
  ReduceMean: (yBar, y, x) => [
    expand(div(withReducedAxes(yBar, y, required(x).shape), countReduced(y, required(x).shape)), required(x).shape),
  ],
  Concat: concatVjp,
  Slice: (yBar, { attributes: { axis = 0, before = 0, after = 0 } }) => [padded(yBar, axis, before, after)],
  Cast: (yBar, _, x) => [cast(yBar, required(x).dtype)],
  Scan: scanVjp,
  ControlDependency: (yBar, _, ...x) => x.map((__, i) => (i === 0 ? yBar : null)),
  Where: (yBar, _, condition) => [
    null,
    where(required(condition), yBar, zerosLike(yBar)),
    where(required(condition), zerosLike(yBar), yBar),
  ],
}

/** An input that every node of the operator has. @throws Error for an expression that was built by hand */
const required = (x: Expression | undefined): Expression => {
  if (x === undefined) throw new Error('vjp: expected another input, got none')
  return x
}

const zerosLike = (x: Expression): Expression => expand(scalar(0, x.dtype), x.shape)

/** (x Φ(x))′ = Φ(x) + x φ(x), with φ(x) = e^(−x²/2) / √(2π) */
const geluSlope = (x: Expression): Expression => {
  const distribution = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5)
  return add(distribution, mul(mul(x, exp(mul(square(x), -0.5))), 1 / Math.sqrt(2 * Math.PI)))
}

const strictlyInside = (x: Expression, y: Expression): Expression => {
  const { minimum = -Infinity, maximum = Infinity } = y.attributes
  return mul(cast(less(minimum, x), x.dtype), cast(less(x, maximum), x.dtype))
}

/** y = α op(A) op(B): Ā = α Ȳ op(B)ᵀ and B̄ = α op(A)ᵀ Ȳ, each transposed again if its operand was. */
function matMulVjp(yBar: Expression, y: Expression, a?: Expression, b?: Expression): readonly Expression[] {
  const { transposeA = false, transposeB = false, alpha = 1 } = y.attributes
  return [
    transposeA
      ? matMul(required(b), yBar, { transposeA: transposeB, transposeB: true, alpha })
      : matMul(yBar, required(b), { transposeB: !transposeB, alpha }),
    transposeB
      ? matMul(yBar, required(a), { transposeA: true, transposeB: transposeA, alpha })
      : matMul(required(a), yBar, { transposeA: !transposeA, alpha }),
  ]
}

/** With x̂ = (x − μ)/σ and h = ȳ ⊙ scale: x̄ = (h − mean h − x̂ · mean(h ⊙ x̂)) / σ. μ and 1/σ are outputs 1 and 2 of the node. */
function layerNormalizationVjp(yBar: Expression, y: Expression, x?: Expression, scale?: Expression): readonly Expression[] {
  const kept: Shape = [...y.shape.slice(0, -1), 1]
  const normalized = mul(sub(required(x), selectOutput(y, 1, kept)), selectOutput(y, 2, kept))
  const h = mul(yBar, required(scale))
  const centered = sub(sub(h, reduceMean(h, [-1], true)), mul(normalized, reduceMean(mul(h, normalized), [-1], true)))
  return [mul(centered, selectOutput(y, 2, kept)), mul(yBar, normalized), yBar]
}

/** With r = 1 / √(mean x² + ε), x̂ = r x and h = ȳ ⊙ scale: x̄ = r (h − x̂ · mean(h ⊙ x̂)). r is output 1 of the node. */
function rmsNormalizationVjp(yBar: Expression, y: Expression, x?: Expression, scale?: Expression): readonly Expression[] {
  const r = selectOutput(y, 1, [...y.shape.slice(0, -1), 1])
  const normalized = mul(required(x), r)
  const h = mul(yBar, required(scale))
  return [mul(sub(h, mul(normalized, reduceMean(mul(h, normalized), [-1], true))), r), mul(yBar, normalized)]
}

/** Row r of x went to position inverse[r]: its gradient is there, or zero if no index selected the row. */
function selectRowsVjp(
  yBar: Expression,
  y: Expression,
  _x?: Expression,
  index?: Expression,
  inverse?: Expression,
): readonly (Expression | null)[] {
  const rows = flattenRows(yBar)
  const width = rows.shape[1]
  if (typeof width !== 'number') throw new Error(`SelectRows: expected rows of a known width, got ${width}`)
  const padded =
    y.attributes.partial === true ? concat([rows, constant(new Array<number>(width).fill(0), [1, width], rows.dtype)], 0) : rows
  const flat = required(index)
  const back = reshape(flat, [product(flat.shape)])
  return [
    y.attributes.partial === true ? gatherBack(padded, required(inverse), back) : selectRows(rows, required(inverse), back),
    null,
    null,
  ]
}

/** As selectRows, from rows with one zero row more than the index has positions. */
const gatherBack = (padded: Expression, inverse: Expression, index: Expression): Expression => ({
  op: 'SelectRows',
  inputs: [padded, inverse, index],
  attributes: { partial: true },
  shape: [...inverse.shape, padded.shape[1] ?? 1],
  dtype: padded.dtype,
})

const inversePermutation = (permutation: readonly number[]): readonly number[] => permutation.map((_, i) => permutation.indexOf(i))

const withReducedAxes = (yBar: Expression, y: Expression, shape: Shape): Expression =>
  reshape(
    yBar,
    shape.map((d, i) => ((y.attributes.axes ?? []).includes(i) ? 1 : d)),
  )

const countReduced = (y: Expression, shape: Shape): number =>
  (y.attributes.axes ?? []).reduce((count, axis) => {
    const size = shape[axis]
    if (typeof size !== 'number')
      throw new Error(`ReduceMean: expected axes of known size to differentiate, got ${size}; use reduceSum and divide`)
    return count * size
  }, 1)

/** Another scan, over the slices of ȳ too: it computes each slice again, since nothing of it was kept. */
function scanVjp(yBar: Expression, y: Expression, ...x: readonly Expression[]): readonly (Expression | null)[] {
  const { body, backward } = y.attributes
  if (body === undefined || backward === undefined) throw new Error('Scan: expected one with a gradient, got none')
  const [slices, shared] = [body.slices.length, body.shared.length]
  const all = scan([...x.slice(0, slices), yBar], x.slice(slices, slices + shared), backward)
  const [ofSlices, ofShared] = [all.slice(0, backward.results.length), all.slice(backward.results.length)]
  return x.map((_, i) => (i < slices ? ofSlices[i] : ofShared[i - slices]) ?? null)
}

/** Each part gets its slice of ȳ. */
function concatVjp(yBar: Expression, y: Expression, ...parts: readonly Expression[]): readonly Expression[] {
  const { axis = 0 } = y.attributes
  const sizes = parts.map(({ shape }) => shape[axis] as Dimension)
  if (sizes.filter((d) => typeof d === 'string').length > 1)
    throw new Error(`Concat: expected one part of unknown size at most to differentiate, got ${sizes.join(', ')}`)
  return cut(yBar, axis, sizes)
}
