/** One small graph a gradient rule, or several: what goes in, from which domain, and which sizes and index arrays a run may bring. */
import fc from 'fast-check'
import { packBatch, selectionFeeds } from '../../../accelerated/models/packing.js'
import type { Feeds } from '../../../accelerated/engines/feeds.js'
import type { DifferentiableOp, Dimension, Expression, Shape } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import {
  add,
  cast,
  clip,
  concat,
  constant,
  controlDependency,
  cos,
  cut,
  div,
  erf,
  exp,
  expand,
  flattenRows,
  gather,
  gelu,
  input,
  layerNormalization,
  less,
  log,
  logSoftmax,
  logSumExp,
  matMul,
  mul,
  neg,
  reduceMean,
  reduceSum,
  relu,
  replaceColumns,
  reshape,
  rmsNormalization,
  rotaryEmbedding,
  scan,
  selectColumns,
  selectRows,
  sigmoid,
  sin,
  slice,
  softmax,
  sqrt,
  square,
  sub,
  tanh,
  transpose,
  where,
} from '../../../accelerated/graph/operators.js'
import { int32 } from '../runGraph.js'
import { evenly, evenlyMany } from './graphNumbers.js'
import { length } from './shapes.js'

export type Sizes = Readonly<Record<string, number>>
/** The further inputs of a run: the sizes of named dimensions, and index arrays that fit them. */
export type Occasion = { readonly sizes: Sizes; readonly feeds: Feeds }
type Numbers = (count: number) => fc.Arbitrary<readonly number[]>

export type RuleCase = {
  readonly op: DifferentiableOp
  readonly title: string
  readonly inputs: Readonly<Record<string, { readonly shape: Shape; readonly numbers: Numbers }>>
  /** `d` is a name's size where the graph is written for fixed sizes, and the name itself where it serves them all. */
  readonly y: (x: Readonly<Record<string, Expression>>, d: (name: string) => Dimension) => Expression
  readonly occasion: fc.Arbitrary<Occasion>
  /** the function rounds to float32 on its way */
  readonly coarse?: true
}

const anywhere: Numbers = evenlyMany(-2, 2)
const positive: Numbers = evenlyMany(0.5, 3)
/** Nonzero numbers of either sign, for denominators and functions with a kink at 0. */
const nonZero: Numbers = (count) => fc.array(fc.oneof(evenly(0.5, 2), evenly(-2, -0.5)), { minLength: count, maxLength: count })
/** Below, between and above the kinks at −1 and 1, further away from them than a difference steps. */
const offTheKinks: Numbers = (count) =>
  fc.array(
    fc.oneof(
      ...[
        [-3, -1.1],
        [-0.9, 0.9],
        [1.1, 3],
      ].map(([min = 0, max = 0]) => evenly(min, max)),
    ),
    { minLength: count, maxLength: count },
  )
/** Rows whose deviation is far from zero, where normalization is smooth on the scale of a difference's step. */
const spread: Numbers = (count) => evenlyMany(-0.3, 0.3)(count).map((noise) => noise.map((x, i) => x + ((7 * i) % 5)))

const anySizes: fc.Arbitrary<Occasion> = fc.record({ a: length(4), b: length(4), c: length(3) }).map((sizes) => ({ sizes, feeds: {} }))

const the = (x: Readonly<Record<string, Expression>>, name: string): Expression => {
  const value = x[name]
  if (value === undefined) throw new Error(`rule case: expected an input ${name}, got ${Object.keys(x).join(', ')}`)
  return value
}

const one = (
  op: DifferentiableOp,
  title: string,
  shape: Shape,
  y: (x: Expression, d: (name: string) => Dimension) => Expression,
  numbers: Numbers = anywhere,
  rest: Partial<RuleCase> = {},
): RuleCase => ({ op, title, inputs: { x: { shape, numbers } }, y: (x, d) => y(the(x, 'x'), d), occasion: anySizes, ...rest })

const two = (
  op: DifferentiableOp,
  title: string,
  p: Shape,
  q: Shape,
  y: (p: Expression, q: Expression, d: (name: string) => Dimension) => Expression,
  numbersOfQ: Numbers = anywhere,
  rest: Partial<RuleCase> = {},
): RuleCase => ({
  op,
  title,
  inputs: { p: { shape: p, numbers: anywhere }, q: { shape: q, numbers: numbersOfQ } },
  y: (x, d) => y(the(x, 'p'), the(x, 'q'), d),
  occasion: anySizes,
  ...rest,
})

// ------------------------------------------------------------------------------------------------- elementwise operators

const broadcasts: readonly (readonly [string, Shape, Shape])[] = [
  ['equal shapes', ['a', 'b'], ['a', 'b']],
  ['with a scalar', ['a', 'b'], []],
  ['a scalar first', [], ['a']],
  ['with a trailing vector', ['a', 'b'], ['b']],
  ['in both directions', [1, 4, 5], [2, 3, 1, 1]],
  ['with leading ones', [1, 1, 'b'], ['c', 'a', 'b']],
  ['a column and a row', ['a', 1], [1, 'b']],
]
const binary = (['Add', 'Sub', 'Mul', 'Div'] as const).flatMap((op) =>
  broadcasts.map(([title, p, q]) => two(op, title, p, q, { Add: add, Sub: sub, Mul: mul, Div: div }[op], nonZero)),
)

const unary = [
  one('Neg', 'of a matrix', ['a', 'b'], neg),
  one('Exp', 'of a matrix', ['a', 'b'], exp),
  one('Log', 'of positive numbers', ['a', 'b'], log, positive),
  one('Sqrt', 'of positive numbers', ['a', 'b'], sqrt, positive),
  one('Sqrt', 'of squares: rows over their norms', ['a', 'b'], (x) => div(x, sqrt(reduceSum(square(x), [1], true))), nonZero),
  one('Sigmoid', 'of a matrix', ['a', 'b'], sigmoid),
  one('Tanh', 'of a matrix', ['a', 'b'], tanh),
  one('Erf', 'of a matrix', ['a', 'b'], erf),
  one('Sin', 'of a matrix', ['a', 'b'], sin),
  one('Cos', 'of a matrix', ['a', 'b'], cos),
  one('Gelu', 'of a matrix', ['a', 'b'], gelu),
  one('Relu', 'off its kink', ['a', 'b'], relu, nonZero),
  one('Clip', 'off its kinks', ['a', 'b'], (x) => clip(x, -1, 1), offTheKinks),
  two('Scan', 'of blocks, with a value that they share', ['a', 'b'], ['b'], (p, q) => {
    const [slice, shared] = [input('', p.shape.slice(1), p.dtype), input('', q.shape, q.dtype)]
    const result = mul(tanh(slice), square(shared))
    const yBar = input('', result.shape, result.dtype)
    const [ofSlice, ofShared] = gradient(reduceSum(mul(result, yBar)), [slice, shared]) as [Expression, Expression]
    const inputs = { slices: [slice], shared: [shared] }
    const backward = { ...inputs, slices: [slice, yBar], results: [ofSlice], sums: [ofShared] }
    return scan([p], [q], { ...inputs, results: [result], sums: [] }, backward)[0]
  }),
  one('ControlDependency', 'sizes that a run brings', ['a', 'b'], (x) => controlDependency(x, [square(x), reduceSum(x, [0])])),
  one('Cast', 'there and back', ['a', 'b'], (x) => cast(cast(x, 'float32'), 'float64'), anywhere, { coarse: true }),
  two(
    'Where',
    'of a fixed condition',
    ['a', 'b'],
    ['a', 'b'],
    (p, q) => where(less(input('condition', p.shape, 'float64'), 0), p, q),
    anywhere,
    {
      occasion: anySizes.chain(({ sizes: { a = 1, b = 1, ...sizes } }) =>
        anywhere(a * b).map((data) => ({
          sizes: { ...sizes, a, b },
          feeds: { condition: { data: Float64Array.from(data), shape: [a, b] } },
        })),
      ),
    },
  ),
]

// --------------------------------------------------------------------------------------------------------------- algebra

const flags = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const
const oriented = (leading: Shape, transposed: boolean, rows: Dimension, columns: Dimension): Shape => [
  ...leading,
  ...(transposed ? [columns, rows] : [rows, columns]),
]
const products = (
  [
    [[], 1],
    [[], 0.7],
    [['c', 2], 1],
    [['c', 2], -1.3],
  ] as const
).flatMap(([leading, alpha]) =>
  flags.map(([transposeA, transposeB]) =>
    two(
      'MatMul',
      `${leading.length + 2}-D, α = ${alpha}, transposes ${transposeA ? 'A' : '–'}${transposeB ? 'B' : '–'}`,
      oriented(leading, transposeA, 'a', 3),
      oriented(leading, transposeB, 3, 'b'),
      (p, q) => matMul(p, q, { transposeA, transposeB, alpha }),
    ),
  ),
)

const normalized = (
  [
    ['over a named dimension', ['a', 'b'], 'b', anywhere, 0.1],
    ['of rank 3', ['a', 2, 5], 5, spread, 1e-5],
  ] as const
).map(
  ([title, shape, width, numbers, epsilon]): RuleCase => ({
    op: 'LayerNormalization',
    title,
    occasion: anySizes,
    inputs: { x: { shape, numbers }, scale: { shape: [width], numbers: anywhere }, bias: { shape: [width], numbers: anywhere } },
    y: (x) => layerNormalization(the(x, 'x'), the(x, 'scale'), the(x, 'bias'), epsilon),
  }),
)

const scaled = (
  [
    ['over a named dimension', ['a', 'b'], 'b', anywhere, 0.1],
    ['of rank 3', ['a', 2, 5], 5, spread, 1e-5],
  ] as const
).map(
  ([title, shape, width, numbers, epsilon]): RuleCase => ({
    op: 'RmsNormalization',
    title,
    occasion: anySizes,
    inputs: { x: { shape, numbers }, scale: { shape: [width], numbers: anywhere } },
    y: (x) => rmsNormalization(the(x, 'x'), the(x, 'scale'), epsilon),
  }),
)

const rotations = ([1, 2] as const).map((heads) =>
  one('RotaryEmbedding', `of ${heads} heads`, [3, 4 * heads], (x) => {
    const of = (turn: (angle: number) => number): Expression =>
      constant(
        Array.from({ length: 6 }, (_, i) => turn(0.7 * i)),
        [3, 2],
        'float64',
      )
    return rotaryEmbedding(x, heads, of(Math.cos), of(Math.sin))
  }),
)

const summedAxes: readonly (readonly [readonly number[] | undefined, boolean])[] = [
  [[0], false],
  [[1], true],
  [[0, 2], false],
  [[-1, 0], true],
  [undefined, false],
  [undefined, true],
]

const algebra = [
  ...products,
  ...normalized,
  ...scaled,
  ...rotations,
  one('Softmax', 'of rows', ['a', 'b'], softmax),
  one('Softmax', 'of rank 4', ['c', 2, 'a', 'b'], softmax),
  one('LogSoftmax', 'of rows', ['a', 'b'], logSoftmax),
  one('LogSoftmax', 'of rank 3', ['c', 'a', 'b'], logSoftmax),
  one('LogSumExp', 'of rows', ['a', 'b'], logSumExp),
  one('LogSumExp', 'of rank 3', ['c', 'a', 'b'], logSumExp),
  ...summedAxes.map(([axes, keep]) =>
    one('ReduceSum', `over ${axes ?? 'all'}${keep ? ', dimensions kept' : ''}`, ['a', 'b', 'c'], (x) => reduceSum(x, axes, keep)),
  ),
  ...(
    [
      [[1], false],
      [[-1], true],
      [[1, 2], false],
      [[2, 1], true],
    ] as const
  ).map(([axes, keep]) =>
    one('ReduceMean', `over ${axes}${keep ? ', dimensions kept' : ''}`, ['a', 3, 2], (x) => reduceMean(x, axes, keep)),
  ),
]

// -------------------------------------------------------------------------------------------------------- shape and rows

const shapes = [
  one('Reshape', 'of known sizes', ['a', 6], (x, d) => reshape(x, [d('a'), 2, 3])),
  one('Reshape', 'into rows', ['a', 'b', 3], flattenRows),
  one('Reshape', 'to two names at run time', ['a', 'b'], (x, d) => reshape(x, [d('b'), d('a')])),
  one('Transpose', 'of a matrix', ['a', 'b'], (x) => transpose(x, [1, 0])),
  one('Transpose', 'by a cycle', ['a', 'b', 3], (x) => transpose(x, [2, 0, 1])),
  one('Transpose', 'of four dimensions', ['a', 'b', 3, 'c'], (x) => transpose(x, [0, 2, 1, 3])),
  two('Expand', 'of a vector', ['b'], ['a', 'b'], (p, q) => mul(expand(p, q.shape), q)),
  two('Expand', 'of a column', ['a', 1], ['a', 'b'], (p, q) => mul(expand(p, q.shape), q)),
  two('Expand', 'of a scalar', [], ['a', 'b'], (p, q) => mul(expand(p, q.shape), q)),
  one('Expand', 'to known sizes', [1, 3], (x) => expand(x, [2, 4, 3])),
  two('Concat', 'by columns', ['a', 2], ['a', 3], (p, q) => concat([p, q, p], 1)),
  two('Concat', 'by rows', [3, 'b'], [1, 'b'], (p, q) => concat([p, q], 0)),
  two('Concat', 'of the last axis', ['a', 2, 1], ['a', 2, 4], (p, q) => concat([p, q], -1)),
  two('Concat', 'of a known part and a named one', ['a', 2], ['a', 'b'], (p, q) => concat([p, q], 1)),
  two('Concat', 'of a named part and a known one', ['b', 'a'], [3, 'a'], (p, q) => concat([p, q], 0)),
  two('Concat', 'of a named part among known ones', ['a', 2], ['a', 'b'], (p, q) => concat([p, p, q, p], 1)),
  two('Concat', 'of a sum and more', ['a', 'c', 2], ['a', 3, 2], (p, q) => concat([q, concat([p, q], 1)], 1)),
  one('Expand', 'over a named batch', [1, 2, 3, 2], (x, d) => expand(x, [d('a'), 2, 3, 2])),
  two('ReplaceColumns', 'in any order', ['a', 5], ['a', 2], (p, q) => replaceColumns(p, q, [3, 0])),
  two('ReplaceColumns', 'all of them', ['a', 3], ['a', 3], (p, q) => mul(replaceColumns(p, q, [2, 0, 1]), p)),
  one('SelectColumns', 'in any order', ['a', 5], (x) => selectColumns(x, [4, 1])),
  one('Slice', 'at the start', ['a', 5], (x) => slice(x, 1, 0, 2)),
  one('Slice', 'inside', ['a', 5], (x) => slice(x, -1, 1, 3)),
  one('Slice', 'at the end', [4, 'b'], (x) => slice(x, 0, 3, 1)),
  one('Slice', 'of parts beside one another', ['a', 7], (x) =>
    concat([mul(slice(x, 1, 3, 2), 2), slice(x, 1, 0, 2), slice(x, 1, 6, 1)], 1),
  ),
  one('Slice', 'of parts that overlap', ['a', 5], (x) => concat([mul(slice(x, 1, 0, 3), 2), slice(x, 1, 2, 2), slice(x, 1, 2, 3)], 1)),
  one('Slice', 'of parts of two axes', [4, 5], (x) => mul(slice(slice(x, 1, 0, 2), 0, 1, 2), slice(slice(x, 0, 0, 2), 1, 2, 2))),
  ...['before', 'of', 'after'].map((title, i) =>
    two(
      'Slice',
      `${title} a named part among known ones`,
      [2, 'a'],
      ['b', 'a'],
      (p, q, d) => cut(concat([p, q, p], 0), 0, [2, d('b'), 2])[i] as Expression,
    ),
  ),
  ...['of', 'after'].map((title, i) =>
    two(
      'Slice',
      `${title} a named part before a known one`,
      ['a', 3],
      ['a', 'b'],
      (p, q, d) => cut(concat([q, p], 1), 1, [d('b'), 3])[i] as Expression,
    ),
  ),
  two(
    'Slice',
    'between a named part and a known one',
    ['a', 2],
    ['a', 'b'],
    (p, q, d) => cut(concat([q, p, p], 1), 1, [d('b'), 2, 2])[1] as Expression,
  ),
  ...['before', 'of'].map((title, i) =>
    two(
      'Slice',
      `${title} a named part after a known one`,
      ['a', 3],
      ['a', 'b'],
      (p, q, d) => cut(concat([p, q], 1), 1, [3, d('b')])[i] as Expression,
    ),
  ),
]

/** Examples of one to four tokens, as a packed batch lays them out. */
const packed = fc.array(length(4), { minLength: 1, maxLength: 4 }).map((lengths) => {
  const { feeds, tokens, batch, sequence } = packBatch(
    lengths.map((n) => ({ inputIds: new Array<number>(n).fill(0) })),
    0,
    'float64',
  )
  const slots = Array.from(feeds['tokenOfSlotOrNone']?.data ?? [], Number)
  const real = Float64Array.from(slots, (token) => (token < tokens ? 1 : 0))
  return {
    sizes: { tokens, batch, sequence, slots: batch * sequence },
    feeds: { ...feeds, real: { data: real, shape: [batch, sequence, 1] } },
  }
})
const indexed = (shape: readonly ('a' | 'b')[]): fc.Arbitrary<Occasion> =>
  anySizes.chain(({ sizes }) => {
    const dimensions = shape.map((d) => sizes[d] ?? 1)
    const count = dimensions.reduce((n, d) => n * d, 1)
    // Three rows at most are ever asked for: repetitions are the rule, and rows that nobody asks for too.
    return fc
      .array(fc.integer({ min: 0, max: 2 }), { minLength: count, maxLength: count })
      .map((index) => ({ sizes: { ...sizes, rows: 5 }, feeds: { index: int32(index, dimensions) } }))
  })
const selected = packed.chain((occasion) =>
  fc
    .shuffledSubarray(
      Array.from({ length: occasion.sizes.tokens }, (_, i) => i),
      { minLength: 1 },
    )
    .map((rows) => ({ sizes: { ...occasion.sizes, rows: rows.length }, feeds: selectionFeeds(rows, occasion.sizes.tokens) })),
)

const rows = [
  one('Gather', 'of repeated rows', [5, 3], (x, d) => gather(x, input('index', [d('a')], 'int32')), anywhere, { occasion: indexed(['a']) }),
  one('Gather', 'by a matrix of indices', ['rows', 2], (x, d) => gather(x, input('index', [d('a'), d('b')], 'int32')), anywhere, {
    occasion: indexed(['a', 'b']),
  }),
  one('Gather', 'of numbers', ['rows'], (x, d) => gather(x, input('index', [d('a')], 'int32')), anywhere, { occasion: indexed(['a']) }),
  one(
    'SelectRows',
    'into padded slots, whose copies receive nothing',
    ['tokens', 3],
    (x, d) =>
      mul(
        selectRows(x, input('tokenOfSlot', [d('batch'), d('sequence')], 'int32'), input('slotOfToken', [d('tokens')], 'int32')),
        input('real', [d('batch'), d('sequence'), 1], 'float64'),
      ),
    anywhere,
    { occasion: packed },
  ),
  one(
    'SelectRows',
    'out of padded slots (partial)',
    ['slots', 3],
    (x, d) =>
      selectRows(x, input('slotOfToken', [d('tokens')], 'int32'), input('tokenOfSlotOrNone', [d('slots')], 'int32'), { partial: true }),
    anywhere,
    { occasion: packed },
  ),
  one(
    'SelectRows',
    'of some tokens in any order (partial)',
    ['tokens', 2],
    (x, d) => selectRows(x, input('tokenOfRow', [d('rows')], 'int32'), input('rowOfToken', [d('tokens')], 'int32'), { partial: true }),
    anywhere,
    { occasion: selected },
  ),
]

export const ruleCases: readonly RuleCase[] = [...binary, ...unary, ...algebra, ...shapes, ...rows]
