/**
 * Sums of dimensions, as in prefix-tuning: a known number of virtual keys and values comes before those of a sequence of any length.
 * One session serves all sizes.
 */
import fc from 'fast-check'
import { describe, it } from 'vitest'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import {
  add,
  concat,
  cut,
  expand,
  flattenRows,
  input,
  matMul,
  mul,
  reduceSum,
  reshape,
  scalar,
  selectRows,
  sliceVector,
  softmax,
  square,
  tanh,
  transpose,
} from '../../../accelerated/graph/operators.js'
import type { Feeds } from '../../../accelerated/engines/feeds.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { differences, elements, float64, int32, int64, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { differenceTolerance, sameFormulaFloat64 } from '../../support/tolerance.js'

const [heads, virtual, size] = [2, 3, 2]
/** Batch and sequence of two runs of one session. */
const runs = [
  [1, 4],
  [3, 2],
] as const

type Numbers = readonly number[]
const random = (count: number, salt: number): Numbers => fc.sample(evenlyMany(-1, 1)(count), { seed: SEED + salt, numRuns: 1 })[0] ?? []

/** softmax(QKᵀ/2 + bias) ⊙ mask · V, as [batch, sequence, heads*size] */
const attention = (q: Expression, k: Expression, v: Expression, bias: Expression, pool: Expression): Expression => {
  const [batch = 1, , , keys = 1] = matMul(q, k, { transposeB: true }).shape
  const scores = add(matMul(q, k, { transposeB: true, alpha: 0.5 }), reshape(bias, [batch, 1, 1, keys]))
  const probabilities = softmax(scores)
  const masked = mul(probabilities, sliceVector(pool, input('offset', [1], 'int64'), probabilities))
  const context = transpose(matMul(masked, v), [0, 2, 1, 3]) // [batch, sequence, heads, size]
  return reshape(context, [...context.shape.slice(0, 2), heads * size])
}

const [q, k, v] = ['q', 'k', 'v'].map((name) => input(name, ['batch', heads, 'sequence', size], 'float64')) as [
  Expression,
  Expression,
  Expression,
]
const [prefixK, prefixV] = ['prefixK', 'prefixV'].map((name) => input(name, [1, heads, virtual, size], 'float64')) as [
  Expression,
  Expression,
]
const bias = input('bias', ['batch', 'sequence'], 'float64')
const pool = input('pool', ['pool(0.5)'], 'float64')
const yBar = input('yBar', ['batch', 'sequence', heads * size], 'float64')
const repeated = (x: Expression): Expression => expand(x, ['batch', heads, virtual, size])
const zeros = expand(scalar(0, 'float64'), ['batch', virtual])

/** What a run is fed, by name; the pool is larger than any mask. */
const feedsOf = (batch: number, sequence: number): Feeds => {
  const shapes: Readonly<Record<string, readonly number[]>> = {
    q: [batch, heads, sequence, size],
    k: [batch, heads, sequence, size],
    v: [batch, heads, sequence, size],
    prefixK: [1, heads, virtual, size],
    prefixV: [1, heads, virtual, size],
    bias: [batch, sequence],
    pool: [100],
    yBar: [batch, sequence, heads * size],
  }
  return {
    ...Object.fromEntries(
      Object.entries(shapes).map(([name, shape], i) => [name, float64(random(elements(shape), 10 * batch + i), shape)]),
    ),
    offset: int64([5 * batch]),
  }
}

/** The loss's gradient in each of `inputs`, against its central differences. */
const assertGradients = (loss: Expression, inputs: readonly Expression[], feedsOf: (batch: number, sequence: number) => Feeds) => {
  const names = inputs.map(({ attributes }) => attributes.name ?? '')
  const gradients = gradient(loss, inputs)
  const outputs = { loss, ...Object.fromEntries(names.map((name, i) => [`gradient of ${name}`, gradients[i] as Expression])) }
  return withGraph(outputs, async (run) => {
    for (const [batch, sequence] of runs) {
      const feeds = feedsOf(batch, sequence)
      const results = await run(feeds)
      for (const name of names) {
        const feed = feeds[name]
        if (feed === undefined) throw new Error(`expected a feed for ${name}`)
        const expected = await differences(
          async (data) => Number(resultOf(await run({ ...feeds, [name]: { ...feed, data } }), 'loss')[0]),
          Float64Array.from(feed.data as Float64Array),
        )
        assertClose(resultOf(results, `gradient of ${name}`), expected, {
          ...differenceTolerance,
          name: `gradient of ${name}, [${feed.shape}]`,
        })
      }
    }
  })
}

/** [batch, heads, keys, size] from the first part and the second, by hand. */
const joined = (first: Numbers, second: Numbers, batch: number, sequence: number): Numbers =>
  Array.from({ length: batch * heads }, (_, i) => [
    ...first.slice((i % heads) * virtual * size, ((i % heads) + 1) * virtual * size),
    ...second.slice(i * sequence * size, (i + 1) * sequence * size),
  ]).flat()

describe(`sums of dimensions (seed ${SEED})`, () => {
  const [keys, values] = [concat([repeated(prefixK), k], 2), concat([repeated(prefixV), v], 2)]
  const y = attention(q, keys, values, concat([zeros, bias], 1), pool)

  it('attend to virtual tokens like a graph that is fed them as tokens', () => {
    const [allK, allV] = ['allK', 'allV'].map((name) => input(name, ['batch', heads, 'keys', size], 'float64')) as [Expression, Expression]
    const oracle = attention(q, allK, allV, input('allBias', ['batch', 'keys'], 'float64'), pool)
    return withGraph({ y }, (run) =>
      withGraph({ y: oracle }, async (runOracle) => {
        for (const [batch, sequence] of runs) {
          const feeds = feedsOf(batch, sequence)
          const fed = (name: string): Numbers => Array.from((feeds[name]?.data ?? []) as Float64Array)
          const all = virtual + sequence
          const allBias = Array.from({ length: batch }, (_, i) => [0, 0, 0, ...fed('bias').slice(i * sequence, (i + 1) * sequence)]).flat()
          const expected = await runOracle({
            ...feeds,
            allK: float64(joined(fed('prefixK'), fed('k'), batch, sequence), [batch, heads, all, size]),
            allV: float64(joined(fed('prefixV'), fed('v'), batch, sequence), [batch, heads, all, size]),
            allBias: float64(allBias, [batch, all]),
          })
          assertClose(resultOf(await run(feeds), 'y'), resultOf(expected, 'y'), { relative: sameFormulaFloat64, name: 'y' })
        }
      }),
    )
  })

  it('give queries, keys, values, prefixes and the bias their gradients', () =>
    assertGradients(reduceSum(mul(y, yBar)), [q, k, v, prefixK, prefixV, bias], feedsOf))

  it('pass through reshape, transpose, expand and reduction', () => {
    const rows = flattenRows(tanh(keys)) // [2*batch*(3+sequence), size]
    const perKey = reduceSum(square(transpose(keys, [0, 2, 1, 3])), [2, 3]) // [batch, 3+sequence]
    const back = reshape(matMul(rows, input('w', [size, size], 'float64')), keys.shape)
    const weighted = mul(back, expand(reshape(perKey, ['batch', 1, '3+sequence', 1]), keys.shape))
    const [first, later] = cut(weighted, 2, [virtual, 'sequence']) as [Expression, Expression]
    const loss = add(reduceSum(mul(later, tanh(q))), reduceSum(square(mul(reduceSum(first, [0, 2]), reduceSum(weighted, [0, 2])))))
    return assertGradients(loss, [k, prefixK, q], (batch, sequence) => ({
      ...feedsOf(batch, sequence),
      w: float64(random(size * size, 3), [size, size]),
    }))
  })

  it('count slots for selected rows: virtual tokens come before those of a packed batch', () => {
    const x = input('x', ['tokens', size], 'float64')
    const slots = ['batch', '1+sequence'] as const
    const placed = selectRows(x, input('tokenOfSlot', slots, 'int32'), input('slotOfToken', ['tokens'], 'int32'))
    const real = input('real', [...slots, 1], 'float64')
    const packed = selectRows(
      flattenRows(mul(tanh(placed), real)),
      input('slotOfToken', ['tokens'], 'int32'),
      input('tokenOfSlotOrNone', ['batch*(1+sequence)'], 'int32'),
      { partial: true },
    )
    const loss = add(reduceSum(mul(square(placed), real)), reduceSum(mul(packed, mul(x, x))))
    // Each example has a slot that holds no token, then `sequence` tokens.
    return assertGradients(loss, [x], (batch, sequence) => {
      const tokens = batch * sequence
      const slotOfToken = Array.from({ length: tokens }, (_, t) => t + 1 + Math.floor(t / sequence))
      const tokenOf = Array.from({ length: batch * (sequence + 1) }, (_, slot) => slotOfToken.indexOf(slot))
      return {
        x: float64(random(tokens * size, batch), [tokens, size]),
        slotOfToken: int32(slotOfToken),
        tokenOfSlot: int32(
          tokenOf.map((t) => Math.max(t, 0)),
          [batch, sequence + 1],
        ),
        tokenOfSlotOrNone: int32(tokenOf.map((t) => (t < 0 ? tokens : t))),
        real: float64(
          tokenOf.map((t) => (t < 0 ? 0 : 1)),
          [batch, sequence + 1, 1],
        ),
      }
    })
  })
})
