/**
 * Operators: one function per operation, with shape inference and shape checks. A plain number becomes a constant of the other operand's dtype.
 * Errors are programmer errors: they name the operator, what it expected and what it got.
 */
import { constantFactor, symbolicFactors, product, sum } from './dimension.js'
import {
  type Backward,
  type DType,
  type Dimension,
  type Expression,
  type ExternalData,
  type ScanBody,
  type Shape,
  sameShape,
  showShape,
  fail,
  node,
} from './expression.js'

type Operand = Expression | number

// ---------------------------------------------------------------------------------------------------------------- leaves

/** A tensor that each run feeds under `name`. */
export const input = (name: string, shape: Shape, dtype: DType): Expression => node('Input', [], shape, dtype, { name })

/** A tensor whose numbers are part of the graph. */
export const constant = (data: ArrayLike<number>, shape: readonly number[], dtype: DType): Expression =>
  data.length === shape.reduce((a, b) => a * b, 1)
    ? node('Constant', [], shape, dtype, { data: Float64Array.from(data) })
    : fail('constant', `${showShape(shape)} numbers`, `${data.length}`)

export const scalar = (value: number, dtype: DType): Expression => constant([value], [], dtype)

/** A frozen tensor whose bytes stay in the checkpoint's file. */
export const weight = (name: string, shape: readonly number[], dtype: DType, external: ExternalData): Expression =>
  node('Weight', [], shape, dtype, { name, external })

// ----------------------------------------------------------------------------------------------------------- elementwise

const broadcastDimension = (op: string, a: Dimension, b: Dimension, shapes: string): Dimension =>
  a === b || b === 1 ? a : a === 1 ? b : fail(op, 'dimensions that are equal or 1', shapes)

/** NumPy's broadcasting rule over named dimensions. */
export const broadcastShapes = (op: string, a: Shape, b: Shape): Shape => {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) =>
    broadcastDimension(op, a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1, `${showShape(a)} and ${showShape(b)}`),
  )
}

const lift = (op: string, a: Operand, b: Operand): readonly [Expression, Expression] => {
  if (typeof a === 'number') return typeof b === 'number' ? fail(op, 'at least one expression', 'two numbers') : [scalar(a, b.dtype), b]
  if (typeof b === 'number') return [a, scalar(b, a.dtype)]
  return a.dtype === b.dtype ? [a, b] : fail(op, 'operands of one dtype', `${a.dtype} and ${b.dtype}`)
}

const binary =
  (op: 'Add' | 'Sub' | 'Mul' | 'Div' | 'Min' | 'Max') =>
  (a: Operand, b: Operand): Expression => {
    const [x, y] = lift(op, a, b)
    return node(op, [x, y], broadcastShapes(op, x.shape, y.shape), x.dtype)
  }

export const add = binary('Add')
export const sub = binary('Sub')
export const mul = binary('Mul')
export const div = binary('Div')
export const minimum = binary('Min')
export const maximum = binary('Max')

const comparison =
  (op: 'Less' | 'Equal') =>
  (a: Operand, b: Operand): Expression => {
    const [x, y] = lift(op, a, b)
    return node(op, [x, y], broadcastShapes(op, x.shape, y.shape), 'bool')
  }

export const less = comparison('Less')
export const equal = comparison('Equal')

/** a where the condition holds, else b; all three have one shape. */
export const where = (condition: Expression, a: Expression, b: Expression): Expression =>
  condition.dtype === 'bool' && a.dtype === b.dtype && sameShape(a.shape, b.shape) && sameShape(a.shape, condition.shape)
    ? node('Where', [condition, a, b], a.shape, a.dtype)
    : fail(
        'where',
        'a bool and two tensors of its shape and one dtype',
        `${showShape(condition.shape)}, ${showShape(a.shape)} ${a.dtype}, ${showShape(b.shape)} ${b.dtype}`,
      )

const unary =
  (op: 'Gelu' | 'Neg' | 'Exp' | 'Log' | 'Sqrt' | 'Sigmoid' | 'Tanh' | 'Erf' | 'Sin' | 'Cos' | 'Relu') =>
  (x: Expression): Expression =>
    node(op, [x], x.shape, x.dtype)

export const neg = unary('Neg')
export const exp = unary('Exp')
export const log = unary('Log')
export const sqrt = unary('Sqrt')
export const sigmoid = unary('Sigmoid')
export const tanh = unary('Tanh')
export const erf = unary('Erf')
export const sin = unary('Sin')
export const cos = unary('Cos')

/** x Φ(x) = ½ x (1 + erf(x / √2)): GELU (Hendrycks & Gimpel, 2016). As one operator, its gradient keeps only x. */
export const gelu = unary('Gelu')

/** max(0, x); its derivative is 1 for x > 0 and 0 elsewhere, also at the kink. */
export const relu = unary('Relu')

/** min(maximum, max(minimum, x)); its derivative is 1 strictly inside and 0 elsewhere, also at the kinks. */
export const clip = (x: Expression, low: number, high: number): Expression =>
  node('Clip', [x], x.shape, x.dtype, { minimum: low, maximum: high })

/** x as a constant: gradients do not pass through it. It costs nothing at run time. */
export const stopGradient = (x: Expression): Expression => node('StopGradient', [x], x.shape, x.dtype)

/** y, computed from x and other values: the backward pass recomputes the nodes between x and y. */
export const checkpoint = (y: Expression, x: Expression): Expression => node('Checkpoint', [y, x], y.shape, y.dtype)

/** x, but not before `others` are computed. It costs nothing at run time, and the runtime never merges two of them. */
export const controlDependency = (x: Expression, others: readonly Expression[]): Expression =>
  node('ControlDependency', [x, ...others], x.shape, x.dtype)

export const square = (x: Expression): Expression => mul(x, x)

export const cast = (x: Expression, dtype: DType): Expression => (x.dtype === dtype ? x : node('Cast', [x], x.shape, dtype))

// ---------------------------------------------------------------------------------------------------------------- algebra

type MatMulOptions = { readonly transposeA?: boolean; readonly transposeB?: boolean; readonly alpha?: number }

/** α · op(a) · op(b) over the last two dimensions; leading dimensions must be the same. a: [..., m, n], b: [..., n, p] → [..., m, p]. */
export const matMul = (
  a: Expression,
  b: Expression,
  { transposeA = false, transposeB = false, alpha = 1 }: MatMulOptions = {},
): Expression => {
  const shapes = `${showShape(a.shape)}${transposeA ? 'ᵀ' : ''} · ${showShape(b.shape)}${transposeB ? 'ᵀ' : ''}`
  if (a.dtype !== b.dtype) fail('matMul', 'operands of one dtype', `${a.dtype} and ${b.dtype}`)
  const [m, n1] = lastTwo(a, transposeA, shapes)
  const [n2, p] = lastTwo(b, transposeB, shapes)
  if (n1 !== n2) fail('matMul', 'equal inner dimensions', shapes)
  const leading = a.shape.slice(0, -2)
  if (!sameShape(leading, b.shape.slice(0, -2))) fail('matMul', 'equal leading dimensions', shapes)
  const stored = transposedWeight(b)
  if (stored !== null) return matMul(a, stored, { transposeA, transposeB: !transposeB, alpha })
  return node('MatMul', [a, b], [...leading, m, p], a.dtype, { transposeA, transposeB, alpha })
}

/** c + α · a · op(b), as torch.addmm: the runtime's Gemm. c: [n, p], a: [n, m], b: [m, p] → [n, p] */
export const addMatMul = (
  c: Expression,
  a: Expression,
  b: Expression,
  { transposeB = false, alpha = 1 }: MatMulOptions = {},
): Expression => {
  const { shape, dtype } = matMul(a, b, { transposeB, alpha })
  if (shape.length !== 2 || !sameShape(shape, c.shape) || dtype !== c.dtype)
    return fail('addMatMul', `${showShape(c.shape)} ${c.dtype} of the product`, `${showShape(shape)} ${dtype}`)
  return node('AddMatMul', [c, a, b], shape, dtype, { transposeB, alpha })
}

/** W if x is its transpose and W a frozen matrix, cast or not. A product reads it as the file has it, so the runtime keeps no reordered copy. */
const transposedWeight = ({ op, inputs: [stored], shape }: Expression): Expression | null => {
  const leaf = stored?.op === 'Cast' ? stored.inputs[0] : stored
  return op === 'Transpose' && shape.length === 2 && stored !== undefined && leaf?.op === 'Weight' ? stored : null
}

const lastTwo = (x: Expression, transposed: boolean, shapes: string): readonly [Dimension, Dimension] => {
  const [rows, columns] = x.shape.slice(-2)
  if (rows === undefined || columns === undefined) return fail('matMul', 'matrices', shapes)
  return transposed ? [columns, rows] : [rows, columns]
}

const normalizeAxis = (op: string, x: Expression, axis: number): number => {
  const positive = axis < 0 ? axis + x.shape.length : axis
  return positive >= 0 && positive < x.shape.length ? positive : fail(op, `an axis of ${showShape(x.shape)}`, `${axis}`)
}

/** Softmax over the last dimension. */
export const softmax = (x: Expression): Expression => node('Softmax', [x], x.shape, x.dtype, { axis: -1 })

/** log softmax over the last dimension. */
export const logSoftmax = (x: Expression): Expression => node('LogSoftmax', [x], x.shape, x.dtype, { axis: -1 })

/** log Σ exp(x) over the last axis. x: [..., n] → [...] */
export const logSumExp = (x: Expression): Expression => node('LogSumExp', [x], x.shape.slice(0, -1), x.dtype)

/** (x − mean) / √(variance + ε) · scale + bias over the last dimension. x: [..., n], scale and bias: [n]. */
export const layerNormalization = (x: Expression, scale: Expression, bias: Expression, epsilon: number): Expression => {
  const last = x.shape.at(-1)
  return last !== undefined && sameShape(scale.shape, [last]) && sameShape(bias.shape, [last])
    ? node('LayerNormalization', [x, scale, bias], x.shape, x.dtype, { epsilon })
    : fail('layerNormalization', `scale and bias of shape [${last}]`, `${showShape(scale.shape)} and ${showShape(bias.shape)}`)
}

/** x / √(mean x² + ε) ⊙ scale over the last dimension (Zhang & Sennrich, 2019). x: [..., n], scale: [n] */
export const rmsNormalization = (x: Expression, scale: Expression, epsilon: number): Expression => {
  const last = x.shape.at(-1)
  return last !== undefined && sameShape(scale.shape, [last])
    ? node('RmsNormalization', [x, scale], x.shape, x.dtype, { epsilon })
    : fail('rmsNormalization', `a scale of shape [${last}]`, showShape(scale.shape))
}

/**
 * Rotates each pair (xⱼ, xⱼ₊ₕ) of each head by the token's angle for it (Su et al., 2021). Its gradient is the rotation back.
 * x: [tokens, heads · 2h], cosine and sine: [tokens, h]
 */
export const rotaryEmbedding = (x: Expression, heads: number, cosine: Expression, sine: Expression): Expression => {
  const [tokens = 1, width, more] = x.shape
  const half = Number(width) / heads / 2
  const shapes = `${showShape(x.shape)}, ${showShape(cosine.shape)} and ${showShape(sine.shape)}`
  return Number.isInteger(half) && more === undefined && [cosine, sine].every(({ shape }) => sameShape(shape, [tokens, half]))
    ? node('RotaryEmbedding', [x, cosine, sine], x.shape, x.dtype, { heads })
    : fail('rotaryEmbedding', `halves of ${heads} heads, and angles for them`, shapes)
}

/** Keys and values of a cache with room for more tokens. [batch, keyValueHeads, capacity, headSize] each */
export type CacheBuffers = { readonly key: Expression; readonly value: Expression }

/** The heads' outputs, and the cache with the new tokens' keys and values after the old ones'. */
export type CachedAttention = { readonly attended: Expression; readonly present: CacheBuffers }

/**
 * softmax(cap(scale · QKᵀ) + bias) V over the cache and the new tokens, whose keys and values enter the cache. A token never sees later ones.
 * With several rows, a run has one new token each, or an empty cache. keyCount: int32 [1], the number of cached and new tokens of a row.
 * query: [batch, sequence, heads · headSize]. key, value: [batch, sequence, keyValueHeads · headSize]. bias: [batch, 1, sequence, keys].
 * names: the outputs of the graph that hold the new cache, whose buffers may be those of the old one
 */
export const cachedAttention = (
  { query, key, value }: Readonly<Record<'query' | 'key' | 'value', Expression>>,
  past: CacheBuffers,
  bias: Expression,
  keyCount: Expression,
  {
    scale,
    cap = null,
    names,
  }: { readonly scale: number; readonly cap?: number | null; readonly names: readonly [key: string, value: string] },
): CachedAttention => {
  const [batch = 1, keyValueHeads = 1, , headSize = 1] = past.key.shape
  const [, sequence = 1, width] = query.shape
  const all = [query, key, value, past.key, past.value, bias, keyCount]
  const heads = Number(width) / Number(headSize)
  const fits =
    query.shape.length === 3 &&
    [key, value].every(({ shape }) => sameShape(shape, [batch, sequence, Number(keyValueHeads) * Number(headSize)])) &&
    sameShape(past.value.shape, past.key.shape) &&
    sameShape(bias.shape.slice(0, 3), [batch, 1, sequence]) &&
    sameShape(keyCount.shape, [1]) &&
    Number.isInteger(heads / Number(keyValueHeads)) &&
    Number(headSize) % headSizeUnit === 0
  if (!fits) return fail('cachedAttention', 'shapes that fit', all.map(({ shape }) => showShape(shape)).join(', '))
  const types = all.map(({ dtype }) => dtype).join()
  if (types !== 'float32,float32,float32,float32,float32,float32,int32') return fail('cachedAttention', 'float32 and int32', types)
  const lastKey = expand(sub(keyCount, 1), [batch])
  const attended = node('CachedAttention', [...all.slice(0, 5), lastKey, keyCount, bias], query.shape, 'float32', {
    heads,
    alpha: scale,
    ...(cap === null ? {} : { cap }),
    names,
  })
  return { attended, present: { key: selectOutput(attended, 1, past.key.shape), value: selectOutput(attended, 2, past.value.shape) } }
}

/** The runtime's cached attention has heads of a multiple of this size. */
export const headSizeUnit = 8

/**
 * A further output of a node: LayerNormalization's mean (1) and inverse deviation (2), RmsNormalization's inverse deviation (1), or a part of Split.
 * CachedAttention has the keys (1) and the values (2) of the new cache, and a Scan what follows its first result.
 */
export const selectOutput = (x: Expression, output: number, shape: Shape): Expression => node('OutputOf', [x], shape, x.dtype, { output })

const reduce =
  (op: 'ReduceSum' | 'ReduceMean') =>
  (x: Expression, axes?: readonly number[], keepDimensions = false): Expression => {
    const all = axes === undefined ? x.shape.map((_, i) => i) : axes.map((axis) => normalizeAxis(op, x, axis))
    const shape = keepDimensions ? x.shape.map((d, i) => (all.includes(i) ? 1 : d)) : x.shape.filter((_, i) => !all.includes(i))
    return all.length === 0 ? x : node(op, [x], shape, x.dtype, { axes: all, keepDimensions })
  }

/** Sum over `axes` (default: all). */
export const reduceSum = reduce('ReduceSum')
export const reduceMean = reduce('ReduceMean')

// ------------------------------------------------------------------------------------------------------- shape and rows

const symbols = (shape: Shape): string => [...symbolicFactors(shape)].sort().join('*')

/** The same elements in another shape: known sizes and names must multiply to the same product. */
export const reshape = (x: Expression, shape: Shape): Expression => {
  if (sameShape(x.shape, shape)) return x
  return constantFactor(x.shape) === constantFactor(shape) && symbols(x.shape) === symbols(shape)
    ? node('Reshape', [x], shape, x.dtype)
    : fail('reshape', `a shape of as many elements as ${showShape(x.shape)}`, showShape(shape))
}

/** [a, b, n] → [a·b, n]: all dimensions but the last become rows. */
export const flattenRows = (x: Expression): Expression => reshape(x, [product(x.shape.slice(0, -1)), x.shape.at(-1) ?? 1])

export const transpose = (x: Expression, permutation: readonly number[]): Expression =>
  [...permutation].sort((a, b) => a - b).every((axis, i) => axis === i) && permutation.length === x.shape.length
    ? node(
        'Transpose',
        [x],
        permutation.map((axis) => x.shape[axis] as Dimension),
        x.dtype,
        { permutation },
      )
    : fail('transpose', `a permutation of the ${x.shape.length} axes`, `[${permutation}]`)

/** x repeated along its dimensions of size 1 (and new leading ones) to `shape`. */
export const expand = (x: Expression, shape: Shape): Expression =>
  sameShape(x.shape, shape)
    ? x
    : sameShape(broadcastShapes('expand', x.shape, shape), shape)
      ? node('Expand', [x], shape, x.dtype)
      : fail('expand', `a shape that ${showShape(x.shape)} broadcasts to`, showShape(shape))

export const concat = (parts: readonly Expression[], axis: number): Expression => {
  const [first, ...rest] = parts
  if (first === undefined) return fail('concat', 'at least one part', 'none')
  if (rest.length === 0) return first
  const at = normalizeAxis('concat', first, axis)
  if (rest.some((part) => part.dtype !== first.dtype || !sameShape(part.shape.toSpliced(at, 1), first.shape.toSpliced(at, 1)))) {
    fail('concat', `parts that differ in axis ${at} alone`, parts.map((part) => `${part.dtype} ${showShape(part.shape)}`).join(', '))
  }
  const total = sum(parts.map((part) => part.shape[at] as Dimension))
  return node('Concat', parts, first.shape.with(at, total), first.dtype, { axis: at })
}

/** Elements start … start + size of one axis whose size is known. */
export const slice = (x: Expression, axis: number, start: number, size: number): Expression => {
  const at = normalizeAxis('slice', x, axis)
  const whole = x.shape[at]
  if (typeof whole !== 'number' || start < 0 || size < 1 || start + size > whole)
    return fail('slice', `a part of axis ${at} of ${showShape(x.shape)}`, `${start}…${start + size}`)
  return size === whole ? x : part(x, at, start, size, whole - start - size)
}

/** An axis without its first `before` and its last `after` elements. */
const part = (x: Expression, axis: number, before: Dimension, size: Dimension, after: Dimension): Expression =>
  node('Slice', [x], x.shape.with(axis, size), x.dtype, { axis, before, after })

/**
 * The inverse of concat: consecutive parts of one axis, whose `sizes` add up to its size. At most one may be a name: positions are counted from the
 * start or the end of the axis.
 */
export const cut = (x: Expression, axis: number, sizes: Shape): readonly Expression[] => {
  const at = normalizeAxis('cut', x, axis)
  if (sum(sizes) !== x.shape[at]) fail('cut', `sizes that add up to axis ${at} of ${showShape(x.shape)}`, showShape(sizes))
  if (sizes.filter((d) => typeof d === 'string').length > 1) fail('cut', 'one part of unknown size at most', showShape(sizes))
  if (sizes.length === 1) return [x]
  const after: Dimension[] = []
  for (const size of [...sizes].reverse()) after.push(sum([size, after.at(-1) ?? 0]))
  let before: Dimension = 0
  return sizes.map((size, i) => {
    const cutOff = part(x, at, before, size, after[sizes.length - i - 2] ?? 0)
    before = sum([before, size])
    return cutOff
  })
}

/**
 * The same by one node, for sizes that are known. x: [.., n, ..] → parts whose `sizes` add up to n. It has no gradient: differentiate with respect to
 * the parts.
 */
export const split = (x: Expression, sizes: readonly number[], axis = 0): readonly Expression[] => {
  const at = normalizeAxis('split', x, axis)
  if (sum(sizes) !== x.shape[at]) fail('split', `sizes that add up to axis ${at} of ${showShape(x.shape)}`, showShape(sizes))
  if (sizes.length === 1) return [x]
  const shapes = sizes.map((size) => x.shape.with(at, size))
  const first = node('Split', [x], shapes[0] ?? [], x.dtype, { sizes, axis: at })
  return shapes.map((shape, i) => (i === 0 ? first : selectOutput(first, i, shape)))
}

/** Rows of a table. table: [rows, ...rest], index: int32 [...] → [..., ...rest]. Its gradient sums the rows of a repeated index. */
export const gather = (table: Expression, index: Expression): Expression => {
  if (index.dtype !== 'int32' && index.dtype !== 'int64') return fail('gather', 'an integer index', index.dtype)
  const [stored] = table.inputs
  // Casting the rows instead of a frozen table spares the runtime a copy of the table.
  if (table.op === 'Cast' && stored?.op === 'Weight') return cast(gather(stored, index), table.dtype)
  return node('Gather', [table, index], [...index.shape, ...table.shape.slice(1)], table.dtype)
}

/**
 * Rows of x in another order, and the way back. x: [rows, n], index: int32 [...], inverse: int32 [rows] → [..., n].
 * inverse[r] is the position of row r in the flattened index, or the number of positions if no index selects it (`partial`). A row that the index
 * repeats (padding) takes its gradient only from its `inverse` position. The caller ensures that the other copies get no gradient, as masked
 * attention does. The gradient is then a plain gather.
 */
export const selectRows = (x: Expression, index: Expression, inverse: Expression, { partial = false } = {}): Expression =>
  x.shape.length === 2 && inverse.shape.length === 1 && inverse.shape[0] === x.shape[0]
    ? node('SelectRows', [x, index, inverse], [...index.shape, x.shape[1] as Dimension], x.dtype, { partial })
    : fail('selectRows', 'x of rank 2 and one inverse entry a row', `${showShape(x.shape)} and ${showShape(inverse.shape)}`)

/** Columns of a matrix by their numbers, each once. x: [rows, n] → [rows, places.length] */
export const selectColumns = (x: Expression, places: readonly number[]): Expression => {
  checkPlaces('selectColumns', x, places)
  return node('SelectColumns', [x], [x.shape[0] as Dimension, places.length], x.dtype, { places })
}

/** x with other columns at these places, each once. x: [rows, n], columns: [rows, places.length] → [rows, n] */
export const replaceColumns = (x: Expression, columns: Expression, places: readonly number[]): Expression => {
  checkPlaces('replaceColumns', x, places)
  return sameShape(columns.shape, [x.shape[0] as Dimension, places.length]) && columns.dtype === x.dtype
    ? node('ReplaceColumns', [x, columns], x.shape, x.dtype, { places })
    : fail(
        'replaceColumns',
        `${places.length} columns of ${x.dtype} for ${showShape(x.shape)}`,
        `${columns.dtype} ${showShape(columns.shape)}`,
      )
}

const checkPlaces = (op: string, { shape }: Expression, places: readonly number[]): void => {
  const columns = shape[1]
  if (shape.length !== 2 || typeof columns !== 'number') fail(op, 'a matrix of a known width', showShape(shape))
  if (places.length === 0 || new Set(places).size !== places.length || places.some((place) => place < 0 || place >= Number(columns)))
    fail(op, `different columns of ${columns}`, `[${places}]`)
}

/** Zeros of `shape` with updates[i] added to row index[i]: the gradient of `gather`. */
export const scatterAddRows = (updates: Expression, index: Expression, shape: Shape): Expression =>
  node('ScatterAddRows', [updates, index], shape, updates.dtype)

/** The number of elements of a tensor of this shape, as int64 [1]. It needs no tensor: sizes follow from the feeds. */
export const elementCount = (of: Shape): Expression => node('Size', [], [1], 'int64', { of })

/** pool[offset … offset + product of `shape`] as a tensor of `like`'s shape. pool: [n], offset: int64 [1]. */
export const sliceVector = (pool: Expression, offset: Expression, like: Expression): Expression =>
  reshape(node('SliceVector', [pool, offset, add(offset, elementCount(like.shape))], [product(like.shape)], pool.dtype), like.shape)

/**
 * The results of `body` for each slice along the first axis of the sliced operands, one after another, and its sums over all slices. Only a scan with
 * `backward` and one result has a gradient. sliced: [n, ...] each → [n, ...] of each result, then the sums
 */
export const scan = (
  sliced: Iterable<Expression>,
  shared: Iterable<Expression>,
  body: ScanBody,
  backward?: Backward,
): readonly [Expression, ...Expression[]] => {
  const operands = [...sliced]
  const [count = 1] = operands[0]?.shape ?? []
  const shapes = [...body.results.map(({ shape }) => [count, ...shape]), ...body.sums.map(({ shape }) => shape)]
  const dtype = [...body.results, ...body.sums][0]?.dtype ?? 'float32'
  const zeros = body.sums.map((sum) => expand(scalar(0, sum.dtype), sum.shape))
  const attributes = { body, ...(backward === undefined ? {} : { backward }) }
  const first = node('Scan', [...operands, ...shared, ...zeros], shapes[0] ?? [], dtype, attributes)
  return [first, ...shapes.slice(1).map((shape, i) => selectOutput(first, i + 1, shape))]
}

/** Cumulative sums along one axis, inclusive. It has no gradient: it counts positions. */
export const cumulativeSum = (x: Expression, axis: number): Expression =>
  node('CumulativeSum', [x], x.shape, x.dtype, { axis: normalizeAxis('cumulativeSum', x, axis) })
