/** What lowering writes out in float64: erf against mpmath's, and the mean and inverse deviation of layer normalization. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { lower } from '../../../accelerated/graph/lowering.js'
import {
  add,
  erf,
  gelu,
  input,
  layerNormalization,
  mul,
  selectOutput,
  rmsNormalization,
  rotaryEmbedding,
  sub,
} from '../../../accelerated/graph/operators.js'
import { toOnnx, type OnnxTarget } from '../../../accelerated/graph/onnx.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { noWeights } from '../../../accelerated/engines/engine.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { cpuEngine } from '../../support/cpuEngine.js'
import { evaluate, float32, float64, readModel, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { sameFormulaFloat64 } from '../../support/tolerance.js'

/** [x, erf x] by mpmath 1.3.0 at 40 digits, rounded to float64: `mpmath.erf(mpmath.mpf(x))`. */
const erfTable: readonly (readonly [number, number])[] = [
  [-7, -1.0],
  [-6.5, -1.0],
  [-6.1, -1.0],
  [-6, -1.0],
  [-5.9, -0.9999999999999999],
  [-5.5, -0.9999999999999927],
  [-5.1, -0.9999999999994507],
  [-4.7, -0.9999999999700474],
  [-4.2, -0.9999999971445058],
  [-3.9, -0.9999999652077514],
  [-3.5, -0.9999992569016276],
  [-3.1, -0.9999883513426328],
  [-2.7, -0.9998656672600594],
  [-2.3, -0.9988568234026434],
  [-1.9, -0.9927904292352575],
  [-1.5, -0.9661051464753108],
  [-1.1, -0.8802050695740817],
  [-0.9, -0.7969082124228322],
  [-0.6, -0.6038560908479259],
  [-0.35, -0.3793820535623103],
  [-0.1, -0.1124629160182849],
  [-0.01, -0.011283415555849618],
  [-0.001, -0.0011283787909692365],
  [-1e-8, -1.1283791670955126e-8],
  [0, 0],
  [1e-12, 1.1283791670955126e-12],
  [1e-5, 1.1283791670579e-5],
  [0.02, 0.022564574691844946],
  [0.2, 0.22270258921047847],
  [0.4, 0.42839235504666845],
  [0.5, 0.5204998778130465],
  [0.75, 0.7111556336535151],
  [1, 0.8427007929497149],
  [1.25, 0.9229001282564583],
  [1.6, 0.976348383344644],
  [2, 0.9953222650189527],
  [2.2, 0.9981371537020182],
  [2.5, 0.999593047982555],
  [2.9, 0.9999589021219005],
  [3, 0.9999779095030014],
  [3.3, 0.9999969422902035],
  [3.7, 0.9999998328489421],
  [4, 0.9999999845827421],
  [4.4, 0.999999999510829],
  [4.9, 0.999999999995781],
  [5.3, 0.9999999999999338],
  [5.7, 0.9999999999999992],
  [5.95, 1.0],
  [6.05, 1.0],
  [6.7, 1.0],
  [7, 1.0],
]
const points = erfTable.map(([x]) => x)
const values = erfTable.map(([, y]) => y)

/** Numbers of the next tests have this many bits behind the point: Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)) loses 53 of them at |x| = 6.5. */
const bits = 320n
const fixed = (x: number): bigint => BigInt(x * 2 ** 200) << (bits - 200n)
/** 2/√π by mpmath 1.3.0 at 110 digits */
const twoOverRootPi =
  (1128379167095512573896158903121545171688101258657997713688171443421284936882986828973487320404214727n << bits) / 10n ** 99n

/** erf x = 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)), in integers: the error is below 2⁻²⁵⁰. */
const exactErf = (x: number): bigint => {
  const square = (fixed(x) * fixed(x)) >> bits
  let [power, sum] = [fixed(x), 0n]
  for (let n = 0n; power !== 0n && n < 1000n; n++) {
    sum += power / (2n * n + 1n)
    power = -((power * square) >> bits) / (n + 1n)
  }
  return (sum * twoOverRootPi) >> bits
}
const numberOf = (x: bigint): number => Number(x >> (bits - 150n)) / 2 ** 150

describe(`lowering (seed ${SEED})`, () => {
  it('computes erf in float64 to 4e-16, on and beyond the range where it varies', async () => {
    const { y } = await evaluate({ y: erf(input('x', ['n'], 'float64')) }, { x: float64(points) })
    assertClose(y as Float64Array, values, { relative: 0, absolute: 4e-16, name: 'erf' })
  })

  it('computes erf in float64 to 4e-16, and to 8e-16 of itself, at 1,500 points against its series in integers', async () => {
    expect(points.map((x) => numberOf(exactErf(x)))).toEqual(values) // the two oracles agree
    const x = fc.sample(fc.oneof(evenlyMany(-6.5, 6.5)(15), evenlyMany(-1, 1)(15), evenlyMany(-1e-3, 1e-3)(15)), {
      seed: SEED,
      numRuns: 100,
    })
    const drawn = [...x.flat(), 0.46875, -0.46875, 0.46875 - 2 ** -54, 6, -6]
    const { y } = await evaluate({ y: erf(input('x', ['n'], 'float64')) }, { x: float64(drawn) })
    const errors = drawn.map((at, i) => Math.abs(numberOf(fixed(Number(y?.[i])) - exactErf(at))))
    expect(Math.max(...errors)).toBeLessThan(4e-16)
    expect(Math.max(...errors.map((error, i) => (error === 0 ? 0 : error / Math.abs(numberOf(exactErf(drawn[i] ?? NaN))))))).toBeLessThan(
      8e-16,
    )
    expect(Math.max(...errors)).toBeGreaterThan(1e-17) // the comparison sees the last bits
  })

  it('gives an erf in float64 that is odd, ±1 at ±∞, and NaN for NaN', async () => {
    const { y } = await evaluate({ y: erf(input('x', ['n'], 'float64')) }, { x: float64([0.3, -0.3, 2, -2, 0, Infinity, -Infinity, NaN]) })
    const [a = 0, minusA = 0, b = 0, minusB = 0, ...rest] = y as Float64Array
    expect([minusA, minusB]).toEqual([-a, -b])
    expect(rest).toEqual([0, 1, -1, NaN])
  })

  it('keeps the relative precision of erf where it is small', async () => {
    const small = erfTable.filter(([x]) => x !== 0 && Math.abs(x) <= 0.02)
    const { y } = await evaluate({ y: erf(input('x', ['n'], 'float64')) }, { x: float64(small.map(([x]) => x)) })
    assertClose(
      (y as Float64Array).map((value, i) => value / (small[i]?.[1] ?? NaN)),
      small.map(() => 1),
      { relative: 1e-15, name: 'erf / expected' },
    )
  })

  it('leaves float32 erf, which agrees with the same table', async () => {
    const { y } = await evaluate({ y: erf(input('x', ['n'], 'float32')) }, { x: float32(points) })
    assertClose(y as Float32Array, values, { relative: 0, absolute: 3e-7, name: 'erf in float32' })
  })

  it.each([
    ['one node where the device has it', cpu.target, ['Gelu']],
    ['plain nodes elsewhere', { fusedMatMul: false }, ['Mul', 'Mul', 'Erf', 'Add', 'Mul']],
  ])('writes GELU in float32 as %s, and both agree with the table', async (_, target, nodes) => {
    const y = gelu(input('x', ['n'], 'float32'))
    expect(readModel(toOnnx({ y }, target)).node.map(({ opType }) => opType)).toEqual(nodes)
    const session = await cpuEngine({ target }).open({ y }, noWeights)
    const { y: actual } = await session.run({ x: float32(points.map((x) => x * Math.SQRT2)) })
    await session.release()
    const expected = points.map((x, i) => (x * Math.SQRT2 * (1 + (values[i] ?? NaN))) / 2) // Φ(√2 x) = ½ (1 + erf x)
    assertClose(actual as Float32Array, expected, { relative: 1e-6, absolute: 1e-6, name: 'GELU' })
  })

  it('gives a GELU in float64 that agrees with the table', async () => {
    const { y } = await evaluate({ y: gelu(input('x', ['n'], 'float64')) }, { x: float64(points.map((x) => x * Math.SQRT2)) })
    const expected = points.map((x, i) => (x * Math.SQRT2 * (1 + (values[i] ?? NaN))) / 2)
    assertClose(y as Float64Array, expected, { relative: 1e-14, absolute: 1e-14, name: 'GELU' })
  })

  it('does not change float32 graphs', () => {
    const x = input('x', [3, 4], 'float32')
    const y = layerNormalization(erf(x), input('s', [4], 'float32'), input('b', [4], 'float32'), 1e-5)
    const outputs = { y, mean: selectOutput(y, 1, [3, 1]) }
    expect(lower(outputs)).toEqual(outputs)
    expect(lower(outputs)['y']).toBe(y)
  })

  it('replaces exactly the operators that the provider lacks in float64', () => {
    const x = input('x', [3, 4], 'float64')
    const y = layerNormalization(erf(x), input('s', [4], 'float64'), input('b', [4], 'float64'), 1e-5)
    const ops = topologicalOrder(Object.values(lower({ y, deviation: selectOutput(y, 2, [3, 1]) }))).map(({ op }) => op)
    for (const op of ['Erf', 'LayerNormalization', 'OutputOf']) expect(ops).not.toContain(op)
  })

  /** y, μ, 1/σ and (x − μ)/σ · scale + bias of one float64 graph. */
  const normalization = (epsilon: number): Readonly<Record<string, Expression>> => {
    const [x, scale, bias] = [
      input('x', ['rows', 'width'], 'float64'),
      input('scale', ['width'], 'float64'),
      input('bias', ['width'], 'float64'),
    ]
    const y = layerNormalization(x, scale, bias, epsilon)
    const [mean, inverse] = [selectOutput(y, 1, ['rows', 1]), selectOutput(y, 2, ['rows', 1])]
    return { y, mean, inverse, recomposed: add(mul(mul(sub(x, mean), inverse), scale), bias) }
  }
  const rows = fc
    .integer({ min: 2, max: 6 })
    .chain((width) => fc.tuple(fc.constant(width), ...Array.from({ length: 3 }, () => evenlyMany(-3, 3)(width)))) as fc.Arbitrary<
    [number, number[], number[], number[]]
  >

  // A deviation of the order of √ε is where an ε that is not quite the same one shows.
  it.each([1e-5, 1e-12, 0.1])("gives layer normalization's output, mean and inverse deviation in float64 (ε = %d)", (epsilon) =>
    withGraph(normalization(epsilon), (run) =>
      fc.assert(
        fc.asyncProperty(rows, fc.constantFrom(1, 1e-3), async ([width, data, scale, bias], size) => {
          const x = data.map((value, i) => (value + i) * size)
          const results = await run({ x: float64(x, [1, width]), scale: float64(scale), bias: float64(bias) })
          const mean = x.reduce((a, b) => a + b, 0) / width
          const inverse = 1 / Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width + epsilon)
          const expected = {
            mean: [mean],
            inverse: [inverse],
            y: x.map((value, i) => (value - mean) * inverse * (scale[i] ?? NaN) + (bias[i] ?? NaN)),
          }
          const close = (name: string, oracle: readonly number[]): void =>
            assertClose(resultOf(results, name), oracle, { relative: sameFormulaFloat64, absolute: sameFormulaFloat64 * 10, name })
          close('mean', expected.mean)
          close('inverse', expected.inverse)
          close('recomposed', expected.y)
          close('y', expected.y)
        }),
        { seed: SEED, numRuns: 30 },
      ),
    ),
  )
})

describe('operators of decoders', () => {
  const sizes = fc.record({
    tokens: fc.integer({ min: 1, max: 5 }),
    heads: fc.integer({ min: 1, max: 3 }),
    half: fc.integer({ min: 1, max: 8 }),
  })

  it('turn each pair of a head by its angle, as complex numbers are, in the runtime and written out', () =>
    fc.assert(
      fc.asyncProperty(
        sizes.chain(({ tokens, heads, half }) =>
          fc.record({
            shape: fc.constant([tokens, heads, half] as const),
            x: evenlyMany(-3, 3)(tokens * heads * 2 * half),
            angles: evenlyMany(-9, 9)(tokens * half),
          }),
        ),
        async ({ shape: [tokens, heads, half], x, angles }) => {
          const width = 2 * half * heads
          const expected = x.map((_, i) => {
            const [token, j, head] = [Math.floor(i / width), i % half, Math.floor((i % width) / (2 * half))]
            const [real, imaginary] = [0, half].map((offset) => x[token * width + head * 2 * half + offset + j] ?? NaN) as [number, number]
            const angle = angles[token * half + j] ?? NaN
            const isReal = i % (2 * half) < half
            return isReal ? real * Math.cos(angle) - imaginary * Math.sin(angle) : real * Math.sin(angle) + imaginary * Math.cos(angle)
          })
          for (const [dtype, feed, bound] of [
            ['float32', float32, 1e-6],
            ['float64', float64, sameFormulaFloat64],
          ] as const) {
            const of = (name: string): Expression => input(name, ['tokens', half], dtype)
            const y = rotaryEmbedding(input('x', ['tokens', width], dtype), heads, of('cosine'), of('sine'))
            const feeds = {
              x: feed(x, [tokens, width]),
              cosine: feed(angles.map(Math.cos), [tokens, half]),
              sine: feed(angles.map(Math.sin), [tokens, half]),
            }
            assertClose(resultOf(await evaluate({ y }, feeds), 'y'), expected, { relative: bound })
          }
        },
      ),
      { seed: SEED, numRuns: 25 },
    ))

  it('divide rows by their root mean square, and give its inverse, in the runtime and written out', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6 }).chain((width) => fc.tuple(evenlyMany(-3, 3)(2 * width), evenlyMany(-3, 3)(width))),
        async ([x, scale]) => {
          const width = scale.length
          const inverse = [0, 1].map((row) => {
            const squares = x.slice(row * width, (row + 1) * width).map((value) => value * value)
            return 1 / Math.sqrt(squares.reduce((a, b) => a + b, 0) / width + 1e-5)
          })
          const expected = x.map((value, i) => value * (inverse[Math.floor(i / width)] ?? NaN) * (scale[i % width] ?? NaN))
          for (const [dtype, feed, bound] of [
            ['float32', float32, 1e-5],
            ['float64', float64, sameFormulaFloat64],
          ] as const) {
            const y = rmsNormalization(input('x', ['rows', width], dtype), input('scale', [width], dtype), 1e-5)
            const results = await evaluate({ y, inverse: selectOutput(y, 1, ['rows', 1]) }, { x: feed(x, [2, width]), scale: feed(scale) })
            assertClose(resultOf(results, 'y'), expected, { relative: bound })
            assertClose(resultOf(results, 'inverse'), inverse, { relative: bound })
          }
        },
      ),
      { seed: SEED, numRuns: 25 },
    ))

  it('are one node each on the CPU, and plain ONNX for a target that lacks them', () => {
    const x = input('x', ['tokens', 4], 'float32')
    const angles = [input('cosine', ['tokens', 2], 'float32'), input('sine', ['tokens', 2], 'float32')] as const
    const outputs = { y: rotaryEmbedding(rmsNormalization(x, input('scale', [4], 'float32'), 1e-5), 1, ...angles) }
    const nodesFor = (target: OnnxTarget) => readModel(toOnnx(outputs, target))
    const fused = nodesFor({ fusedMatMul: true, fusedDecoder: true })
    expect(fused.node.map(({ opType }) => opType)).toEqual(['SimplifiedLayerNormalization', 'Reshape', 'RotaryEmbedding', 'Squeeze'])
    const plain = nodesFor({ fusedMatMul: false })
    expect(plain.domains.filter((domain) => domain !== '')).toEqual([])
    expect(plain.node.map(({ opType }) => opType)).not.toContain('SimplifiedLayerNormalization')
  })

  it('name shapes that do not fit', () => {
    const x = input('x', ['tokens', 6], 'float32')
    const angles = input('angles', ['tokens', 2], 'float32')
    expect(() => rotaryEmbedding(x, 2, angles, angles)).toThrow('rotaryEmbedding: expected halves of 2 heads, and angles for them')
    expect(() => rmsNormalization(x, input('scale', [5], 'float32'), 1e-5)).toThrow(
      'rmsNormalization: expected a scale of shape [6], got [5]',
    )
  })
})
