/**
 * Products with a matrix in float16: the graph against the reference, forward and backward. The CPU has no float16 products, and ONNX Runtime
 * computes them in float32. That is useless for training, but the numbers are the same to a rounding or two, on every machine. WebGPU shows the
 * place of each rounding.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expression } from '../../accelerated/graph/expression.js'
import { gradient } from '../../accelerated/graph/gradient.js'
import { cast, constant, input, mul, reduceSum, transpose } from '../../accelerated/graph/operators.js'
import { halfMatMul, matchHalf } from '../../accelerated/graph/quantizedOperators.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { probeDevice } from '../../accelerated/engines/deviceProbe.js'
import { cpu, nativeDevice, type Device } from '../../accelerated/engines/devices/device.js'
import { noWeights, type Results } from '../../accelerated/engines/engine.js'
import type { Feeds } from '../../accelerated/engines/feeds.js'
import { halfLinear, roundToHalf } from '../../reference/layers/halfLinear.js'
import { linear } from '../../reference/layers/linear.js'
import { matMul } from '../../reference/tensor/matMul.js'
import { generate, tensor, type Tensor } from '../../reference/tensor/tensor.js'
import { evenlyMany } from '../support/arbitraries/graphNumbers.js'
import { assertClose } from '../support/assertClose.js'
import { float32, readModel, resultOf } from '../support/runGraph.js'
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

/** float32, float16 and others of TensorProto.DataType */
const roundings = new Map<number, (x: number) => number>([
  [1, Math.fround],
  [10, roundToHalf],
])

/** Runs a written graph of one product node by node: no runtime rewrites it, and casts round as they say. → y */
const interpret = (bytes: Uint8Array, inputs: ReadonlyMap<string, Tensor>): Tensor => {
  const { node, initializer } = readModel(bytes)
  const values = new Map(inputs)
  for (const { name, dataType, rawData } of initializer)
    if (dataType === 1) values.set(name, tensor([1, 1], [new DataView(rawData.buffer, rawData.byteOffset).getFloat32(0, true)]))
  const rows = ({ shape: [n = 0, m = 0], data }: Tensor, of: (row: Float64Array) => number): Tensor =>
    generate([n, 1], (i) => of(data.slice(i * m, (i + 1) * m)))
  /** element by element; a column or one number is broadcast */
  const each = (a: Tensor, b: Tensor, of: (x: number, y: number) => number): Tensor => {
    const [, m = 1] = a.shape
    const at = (i: number): number => (b.data.length === 1 ? 0 : b.shape[1] === m ? i : Math.floor(i / m))
    return generate(a.shape, (i) => Math.fround(of(a.data[i] ?? NaN, b.data[at(i)] ?? NaN)))
  }
  for (const { opType, input: names, output, attribute } of node) {
    const flag = (name: string): number => Number(attribute.find((one) => one.name === name)?.i ?? 0)
    const [a = tensor([1, 1], [NaN]), b = a] = names.map((name) => values.get(name)).filter((value) => value !== undefined)
    const result: Readonly<Record<string, () => Tensor>> = {
      ReduceMax: () => rows(a, (row) => Math.max(...row)),
      ReduceMin: () => rows(a, (row) => Math.min(...row)),
      Neg: () => generate(a.shape, (i) => -(a.data[i] ?? NaN)),
      Max: () => each(a, b, Math.max),
      Div: () => each(a, b, (x, y) => x / y),
      Mul: () => each(a, b, (x, y) => x * y),
      Cast: () => generate(a.shape, (i) => (roundings.get(flag('to')) ?? expect.fail('an unknown type'))(a.data[i] ?? NaN)),
      Gemm: () => matMul(a, b, { transposeY: flag('transB') === 1 }),
    }
    values.set(output[0] ?? '', (result[opType] ?? expect.fail(`no ${opType} here`))())
  }
  return values.get('y') ?? expect.fail('no y')
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
      const results = await evaluate(outputs, feeds, findDevice('webgpu'))
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

  it('rounds the rows in the written graph itself to float16 by their own scales, which no runtime has optimized here', () =>
    fc.assert(
      fc.property(cases, fc.constantFrom(1, 1e-6, 1e6), ({ x, W }, size) => {
        const [[n = 0, k = 0], [p = 0]] = [x.shape, W.shape]
        const scaled = tensor(
          [n, k],
          Float32Array.from(x.data, (value, i) => value * size * 100 ** Math.floor(i / k)),
        )
        const outputs = { y: halfMatMul(input('x', [n, k], 'float32'), cast(input('W', [p, k], 'float32'), 'float16')) }
        const y = interpret(
          toOnnx(outputs, { ...cpu.target, halfMatMul: true }),
          new Map([
            ['x', scaled],
            ['W', W],
          ]),
        )
        const expected = halfLinear.value('', scaled, W)
        for (let row = 0; row < n; row++) {
          const ofRow = (all: Tensor): readonly number[] => [...all.data.slice(row * p, (row + 1) * p)]
          const most = Math.max(...scaled.data.slice(row * k, (row + 1) * k).map(Math.abs))
          assertClose(ofRow(y), ofRow(expected), { relative: 1e-3, absolute: 1e-3 * most * k }) // sums are exact in both; quotients in float32
        }
      }),
      { seed: SEED, numRuns: 60 },
    ))

  it('is written only for a device with float16 products', () => {
    const y = halfMatMul(input('x', [1, 3], 'float32'), half(tensor([1, 3], [1, 2, 3])))
    expect(() => toOnnx({ y }, cpu.target)).toThrow('expected a target with products in float16')
  })

  it('takes a float16 matrix only from its own cast', () => {
    const W = half(tensor([1, 1], [1]))
    expect(matchHalf(cast(W, 'float32'))).toBe(W)
    expect(matchHalf(W)).toBeNull()
    expect(matchHalf(constant([1], [1, 1], 'float32'))).toBeNull()
    expect(() => halfMatMul(input('x', [1, 2], 'float32'), W)).toThrow('expected matrices that fit')
    expect(() => halfMatMul(input('x', [1, 1], 'float16'), W)).toThrow('expected float32 and float16')
  })
})
