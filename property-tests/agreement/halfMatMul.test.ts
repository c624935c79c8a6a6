/**
 * Products with a matrix in float16: the graph against the reference, forward and backward. The CPU has no float16 products, and ONNX Runtime
 * computes them in float32. That is useless for training, but the numbers are the same to a rounding or two, on every machine. WebGPU shows the
 * place of each rounding.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expression } from '../../accelerated/graph/expression.js'
import { gradient } from '../../accelerated/graph/gradient.js'
import { cast, constant, halfMatMul, halfOf, input, mul, reduceSum, transpose } from '../../accelerated/graph/operators.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { deviceOf, probeDevice } from '../../accelerated/engines/deviceProbe.js'
import { cpu } from '../../accelerated/engines/devices/cpu.js'
import { nativeDevice } from '../../accelerated/engines/devices/nativeDevice.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { noWeights, type Results } from '../../accelerated/engines/engine.js'
import type { Feeds } from '../../accelerated/engines/feeds.js'
import { halfLinear, roundToHalf } from '../../reference/layers/halfLinear.js'
import { linear } from '../../reference/layers/linear.js'
import { generate, tensor, type Tensor } from '../../reference/tensor/tensor.js'
import { evenlyMany } from '../support/arbitraries/graphNumbers.js'
import { assertClose } from '../support/assertClose.js'
import { float32, resultOf } from '../support/runGraph.js'
import { SEED } from '../support/seed.js'

const device = nativeDevice({
  name: cpu.name,
  target: { ...cpu.target, halfMatMul: true },
  provider: { name: 'cpu' },
  preallocatedOutputs: true,
  tolerances: cpu.tolerances,
  remedy: '',
  automatic: null,
})
const { works } = await probeDevice('webgpu')
const evaluate = async (outputs: Readonly<Record<string, Expression>>, feeds: Feeds, on: Device = device): Promise<Results> => {
  const session = await on.engine({ threads: 1 }).open(outputs, noWeights)
  return session.run(feeds).finally(session.release)
}

const matrix = (n: number, m: number): fc.Arbitrary<Tensor> =>
  evenlyMany(-2, 2)(n * m).map((data) => tensor([n, m], Float32Array.from(data)))
const cases = fc
  .record({ n: fc.integer({ min: 1, max: 9 }), k: fc.integer({ min: 1, max: 70 }), p: fc.integer({ min: 1, max: 40 }) })
  .chain(({ n, k, p }) => fc.record({ x: matrix(n, k), W: matrix(p, k), yBar: matrix(n, p) }))
const half = ({ shape: [p = 0, k = 0], data }: Tensor): Expression => cast(constant(data, [p, k], 'float32'), 'float16')
const identity = (n: number): Tensor => generate([n, n], (i) => (i % (n + 1) === 0 ? 1 : 0))
/** One rounding of the result, and one of a term of at most 2 · 2, which may fall on the other side of a boundary. */
const rounding = 2 ** -10
const near = { relative: rounding, absolute: 2 * rounding }

describe(`a product in float16 (seed ${SEED})`, () => {
  it("has the reference's values and gradient, to the rounding of a result", () =>
    fc.assert(
      fc.asyncProperty(cases, async ({ x, W, yBar }) => {
        const [[n = 0, k = 0], [, p = 0]] = [x.shape, yBar.shape]
        const given = input('x', [n, k], 'float32')
        const y = halfMatMul(given, half(W))
        const [slope] = gradient(reduceSum(mul(y, constant(yBar.data, [n, p], 'float32'))), [given])
        const results = await evaluate({ y, slope: slope! }, { x: float32(x.data, [n, k]) })
        assertClose(resultOf(results, 'y'), halfLinear.value('', x, W).data, near)
        assertClose(resultOf(results, 'slope'), halfLinear.inputVjp('', W, yBar).data, near)
      }),
      { seed: SEED, numRuns: 40 },
    ))

  it.skipIf(!works)(
    "rounds each factor to the reference's numbers on webgpu, as products with 1 show (skipped without a device)",
    async () => {
      const [n, k, p] = [7, 33, 17]
      const [x, W] = fc.sample(fc.tuple(matrix(n, k), matrix(p, k)), { seed: SEED, numRuns: 1 })[0]!
      const outputs = {
        ofW: halfMatMul(input('one', [k, k], 'float32'), half(W)),
        ofX: halfMatMul(input('x', [n, k], 'float32'), half(identity(k))),
      }
      const feeds = { one: float32(identity(k).data, [k, k]), x: float32(x.data, [n, k]) }
      const results = await evaluate(outputs, feeds, deviceOf('webgpu'))
      expect(resultOf(results, 'ofW')).toEqual(
        Array.from({ length: k * p }, (_, i) => roundToHalf(W.data[(i % p) * k + Math.floor(i / p)]!)),
      )
      const [actual, expected] = [resultOf(results, 'ofX'), halfLinear.value('', x, identity(k)).data]
      const same = actual.filter((value, i) => Math.abs(value - (expected[i] ?? NaN)) < 1e-6)
      expect(same.length).toBeGreaterThan(0.97 * n * k) // a quotient in float32 may fall on the other side of a boundary
      assertClose(actual, x.data, { relative: rounding })
    },
  )

  it('is exact for rows of zeros, and for rows 10³⁰ times the range of float16', async () => {
    const [x, W] = [tensor([3, 2], [0, 0, 1e34, -5e33, 1e-34, 5e-35]), tensor([1, 2], [1, 0.5])]
    const { y } = await evaluate({ y: halfMatMul(input('x', [3, 2], 'float32'), half(W)) }, { x: float32(x.data, [3, 2]) })
    expect(y?.[0]).toBe(0)
    assertClose([y?.[1] as number], [linear(x, W).data[1]!], { relative: 1e-6 })
    assertClose([(y?.[2] as number) * 1e30], [linear(x, W).data[2]! * 1e30], { relative: 1e-3 })
  })

  it('equals the product with the transposed matrix in the other direction', async () => {
    const [x, W] = fc.sample(fc.tuple(matrix(4, 5), matrix(5, 3)), { seed: SEED, numRuns: 1 })[0]!
    const given = input('x', [4, 5], 'float32')
    const both = { asItLies: halfMatMul(given, half(W), false), turned: halfMatMul(given, transpose(half(W), [1, 0])) }
    const results = await evaluate(both, { x: float32(x.data, [4, 5]) })
    expect(results['asItLies']).toEqual(results['turned'])
  })

  it('is written only for a device with float16 products', () => {
    const y = halfMatMul(input('x', [1, 3], 'float32'), half(tensor([1, 3], [1, 2, 3])))
    expect(() => toOnnx({ y }, cpu.target)).toThrow('expected a target with products in float16')
  })

  it('takes a float16 matrix only from its own cast', () => {
    const W = half(tensor([1, 1], [1]))
    expect(halfOf(cast(W, 'float32'))).toBe(W)
    expect(halfOf(W)).toBeNull()
    expect(halfOf(constant([1], [1, 1], 'float32'))).toBeNull()
    expect(() => halfMatMul(input('x', [1, 2], 'float32'), W)).toThrow('expected matrices that fit')
    expect(() => halfMatMul(input('x', [1, 1], 'float16'), W)).toThrow('expected float32 and float16')
  })
})
