/** Attention over a cache in one node, which generation uses: the runtime's against the reference, which has whole texts and no cache. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noWeights } from '../../accelerated/engines/engine.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { cachedAttention, input } from '../../accelerated/graph/operators.js'
import { causalAttention, scaleBy, tensor } from '../../reference/index.js'
import { evenlyMany } from '../support/arbitraries/graphNumbers.js'
import { assertClose } from '../support/assertClose.js'
import { cpuEngine } from '../support/cpuEngine.js'
import { float32, int32 } from '../support/runGraph.js'
import { SEED } from '../support/seed.js'

type Case = {
  readonly keyValueHeads: number
  readonly sharing: number
  readonly headSize: number
  readonly rows: number
  readonly past: number
  readonly sequence: number
  readonly room: number
  /** slots before the tokens of every second row */
  readonly padding: number
  readonly window: number | null
  /** of the scores, in units of the usual 1 / √headSize */
  readonly scale: number
  /** the soft cap of the scores */
  readonly cap: number | null
}

/** Several rows have an empty cache or one new token each. */
const cases: fc.Arbitrary<Case> = fc
  .record({
    keyValueHeads: fc.constantFrom(1, 2, 3),
    sharing: fc.constantFrom(1, 2, 3),
    headSize: fc.constantFrom(8, 16),
    rows: fc.constantFrom(1, 2, 3),
    past: fc.constantFrom(0, 1, 5, 9),
    sequence: fc.constantFrom(1, 2, 7),
    room: fc.constantFrom(0, 1, 20),
    padding: fc.constantFrom(0, 1, 3),
    window: fc.constantFrom(null, 1, 2, 4),
    scale: fc.constantFrom(1, 0.5),
    cap: fc.constantFrom(null, 1.5),
  })
  .map((one) => ({ ...one, sequence: one.rows > 1 && one.past > 0 ? 1 : one.sequence }))

const names = ['present.key', 'present.value'] as const

const graphOf = ({ keyValueHeads, sharing, headSize, scale, cap }: Case) => {
  const tokens = (name: string, heads: number) => input(name, ['rows', 'sequence', heads * headSize], 'float32')
  const past = (name: string) => input(name, ['rows', keyValueHeads, 'capacity', headSize], 'float32')
  const { attended, present } = cachedAttention(
    { query: tokens('query', keyValueHeads * sharing), key: tokens('key', keyValueHeads), value: tokens('value', keyValueHeads) },
    { key: past('past.key'), value: past('past.value') },
    input('bias', ['rows', 1, 'sequence', 'keys'], 'float32'),
    input('keyCount', [1], 'int32'),
    { scale: scale / Math.sqrt(headSize), cap, names },
  )
  return { attended, 'present.key': present.key, 'present.value': present.value }
}

const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)

/** Rows of tokens [rows, tokens, width] as a cache [rows, heads, capacity, headSize] with their first `kept` tokens. */
const cacheOf = (one: Case, rows: readonly (readonly number[])[], kept: number): Float32Array => {
  const { keyValueHeads: heads, headSize, past, sequence, room } = one
  const capacity = past + sequence + room
  const cached = new Float32Array(rows.length * heads * capacity * headSize)
  rows.forEach((numbers, row) => {
    for (let token = 0; token < kept; token++)
      for (let column = 0; column < heads * headSize; column++)
        cached[((row * heads + Math.floor(column / headSize)) * capacity + token) * headSize + (column % headSize)] =
          numbers[token * heads * headSize + column] ?? NaN
  })
  return cached
}

const agrees = async (one: Case, seed: number): Promise<void> => {
  const { keyValueHeads, sharing, headSize, rows, past, sequence, room, window } = one
  const [all, heads] = [past + sequence, keyValueHeads * sharing]
  const numbers = (width: number, more: number) => fc.sample(evenlyMany(-2, 2)(all * width), { seed: seed + more, numRuns: rows })
  const [query, key, value] = [
    numbers(heads * headSize, 1),
    numbers(keyValueHeads * headSize, 2),
    numbers(keyValueHeads * headSize, 3),
  ] as const
  const paddingOf = (row: number): number => (row % 2 === 1 ? Math.min(one.padding, all - 1) : 0)
  const newOnes = (of: readonly (readonly number[])[], width: number) =>
    float32(
      of.flatMap((x) => x.slice(past * width)),
      [rows, sequence, width],
    )
  const bias = range(rows).flatMap((row) =>
    range(sequence).flatMap((i) =>
      range(all).map((j) => (j > past + i || j < paddingOf(row) || (window !== null && j <= past + i - window) ? -1e9 : 0)),
    ),
  )
  const shape = [rows, keyValueHeads, all + room, headSize]
  const [cachedKey, cachedValue] = [float32(cacheOf(one, key, past), shape), float32(cacheOf(one, value, past), shape)]
  const feeds = {
    query: newOnes(query, heads * headSize),
    key: newOnes(key, keyValueHeads * headSize),
    value: newOnes(value, keyValueHeads * headSize),
    'past.key': cachedKey,
    'past.value': cachedValue,
    bias: float32(bias, [rows, 1, sequence, all]),
    keyCount: int32([all]),
  }
  const session = await cpuEngine().open(graphOf(one), noWeights, { mode: 'decode' })
  const attended = float32(new Float32Array(rows * sequence * heads * headSize), [rows, sequence, heads * headSize])
  await session.run(feeds, { attended, 'present.key': cachedKey, 'present.value': cachedValue }).finally(session.release)
  expect(cachedKey.data, 'the keys in the cache').toEqual(cacheOf(one, key, all))
  expect(cachedValue.data, 'the values in the cache').toEqual(cacheOf(one, value, all))
  range(rows).forEach((row) => {
    const before = paddingOf(row)
    const part = (of: readonly (readonly number[])[], width: number) =>
      tensor([all - before, width], Float32Array.from(of[row] ?? []).subarray(before * width))
    const expected = causalAttention({ heads, keyValueHeads, headSize, scale: null, cap: one.cap, lengths: [all - before], window })({
      query: scaleBy(one.scale)(part(query, heads * headSize)),
      key: part(key, keyValueHeads * headSize),
      value: part(value, keyValueHeads * headSize),
    })
    const first = Math.max(past, before) // queries of padding see nothing
    const width = heads * headSize
    assertClose(
      attended.data.subarray((row * sequence + first - past) * width, (row + 1) * sequence * width) as Float32Array,
      Array.from(expected.data).slice((first - before) * width),
      { relative: 1e-5, name: `row ${row}` },
    )
  })
}

describe('attention over a cache', () => {
  it('is that of whole texts, with padding and windows, and writes new keys and values into the cache', () =>
    fc.assert(fc.asyncProperty(cases, fc.nat(1e6), agrees), { seed: SEED, numRuns: 60 }))

  it('is refused for shapes and types that do not fit, and on other targets', () => {
    const one = {
      keyValueHeads: 1,
      sharing: 1,
      headSize: 8,
      rows: 1,
      past: 0,
      sequence: 1,
      room: 0,
      padding: 0,
      window: null,
      scale: 1,
      cap: null,
    }
    expect(() => graphOf({ ...one, headSize: 12 })).toThrow('cachedAttention: expected shapes that fit, got [rows, sequence, 12]')
    const operand = (width: number, dtype: 'float32' | 'float64' = 'float32') => input('x', ['rows', 'sequence', width], dtype)
    const past = { key: input('k', ['rows', 2, 'capacity', 8], 'float32'), value: input('v', ['rows', 2, 'capacity', 8], 'float32') }
    const bias = input('bias', ['rows', 1, 'sequence', 'keys'], 'float32')
    const attend = (query: ReturnType<typeof operand>, key: ReturnType<typeof operand>, keyCount = input('n', [1], 'int32')) =>
      cachedAttention({ query, key, value: key }, past, bias, keyCount, { scale: 1, names })
    expect(() => attend(operand(24), operand(16))).toThrow('shapes that fit')
    expect(() => attend(operand(32), operand(8))).toThrow('shapes that fit')
    expect(() => attend(operand(32), operand(16), input('n', [2], 'int32'))).toThrow('shapes that fit')
    expect(() => attend(operand(32, 'float64'), operand(16))).toThrow('cachedAttention: expected float32 and int32, got float64,float32')
    expect(() => toOnnx(graphOf(one), { fusedMatMul: true })).toThrow('expected a target with attention over a cache, got one without')
  })
})
