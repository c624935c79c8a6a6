/** Serialization: the model loads in ONNX Runtime, has the same results for every target, and reads weights from the mapped files. */
import { describe, expect, it } from 'vitest'
import { type DType, type Expression, print } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { toOnnx } from '../../../accelerated/graph/onnx.js'
import {
  add,
  cast,
  concat,
  constant,
  cut,
  exp,
  expand,
  flattenRows,
  input,
  matMul,
  mul,
  reduceSum,
  reshape,
  scalar,
  elementCount,
  split,
  square,
  stopGradient,
  sub,
  tanh,
  transpose,
  weight,
} from '../../../accelerated/graph/operators.js'
import * as ort from 'onnxruntime-node'
import { assertClose } from '../../support/assertClose.js'
import { evaluate, float32, float64, readModel, resultOf, withGraph } from '../../support/runGraph.js'
import { reorderedFloat32 } from '../../support/tolerance.js'

const only = (gradients: readonly Expression[]): Expression => gradients[0] as Expression
const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => Math.fround(Math.sin(1 + 2 * i)))

/** α op(A) op(B) by its definition, matrix by matrix. */
const naiveProduct = (
  a: readonly number[],
  b: readonly number[],
  batches: number,
  [m, n, p]: readonly [number, number, number],
  transposeA: boolean,
  transposeB: boolean,
  alpha: number,
): readonly number[] =>
  Array.from({ length: batches * m * p }, (_, at) => {
    const [batch, i, j] = [Math.floor(at / (m * p)), Math.floor(at / p) % m, at % p]
    const left = (k: number): number => a[batch * m * n + (transposeA ? k * m + i : i * n + k)] ?? NaN
    const right = (k: number): number => b[batch * n * p + (transposeB ? j * n + k : k * p + j)] ?? NaN
    return alpha * Array.from({ length: n }, (__, k) => left(k) * right(k)).reduce((sum, term) => sum + term, 0)
  })

describe('serialization', () => {
  it('prints a gradient line by line', () => {
    const [x, w] = [input('x', ['tokens', 3], 'float32'), input('w', [2, 3], 'float32')]
    const loss = reduceSum(square(matMul(x, w, { transposeB: true, alpha: 0.5 })))
    expect(print({ wBar: only(gradient(loss, [w])) })).toMatchInlineSnapshot(`
      "v0: float32 [] = Constant() {data: [1]}
      v1: float32 [1, 1] = Reshape(v0)
      v2: float32 [tokens, 2] = Expand(v1)
      x: float32 [tokens, 3] = Input()
      w: float32 [2, 3] = Input()
      v5: float32 [tokens, 2] = MatMul(x, w) {transposeB: true, alpha: 0.5}
      v6: float32 [tokens, 2] = Mul(v2, v5)
      v7: float32 [tokens, 2] = Mul(v2, v5)
      v8: float32 [tokens, 2] = Add(v6, v7)
      v9: float32 [2, 3] = MatMul(v8, x) {transposeA: true, alpha: 0.5}
      wBar = v9"
    `)
  })

  it('writes a shape without names as one constant, and reads a named size from its input', () => {
    const x = input('x', ['tokens', 3], 'float32')
    const types = (y: Expression): readonly string[] => readModel(toOnnx({ y }, { fusedMatMul: true })).node.map(({ opType }) => opType)
    expect(types(expand(x, [2, 'tokens', 3]))).toEqual(['Shape', 'Concat', 'Expand'])
    expect(types(expand(input('row', [3], 'float32'), [2, 3]))).toEqual(['Expand'])
    const named = input('named', ['batch', 'sequence', 8], 'float32')
    expect(types(reshape(named, ['batch', 'sequence', 2, 4]))).toEqual(['Reshape']) // sizes that keep their place are 0
  })

  it('prints parts of known and unknown size, and shortens long lists', () => {
    const x = input('x', ['3+sequence', 2], 'float32')
    const [first, rest] = cut(x, 0, [3, 'sequence']) as [Expression, Expression]
    const parts = split(input('vector', [8], 'float32'), [1, 1, 1, 1, 1, 1, 2])
    expect(print({ first: transpose(stopGradient(first), [1, 0]), rest, part: parts[6] as Expression })).toMatchInlineSnapshot(`
      "x: float32 [3+sequence, 2] = Input()
      v1: float32 [3, 2] = Slice(x) {axis: 0, before: 0, after: sequence}
      v2: float32 [3, 2] = StopGradient(v1)
      v3: float32 [2, 3] = Transpose(v2) {permutation: [1, 0]}
      v4: float32 [sequence, 2] = Slice(x) {axis: 0, before: 3, after: 0}
      vector: float32 [8] = Input()
      v6: float32 [1] = Split(vector) {sizes: 7 numbers, axis: 0}
      v7: float32 [2] = OutputOf(v6) {output: 6}
      first = v3
      rest = v4
      part = v7"
    `)
  })

  it.each([
    [[], false, false, 1],
    [[], true, false, 0.5],
    [[], false, true, -2],
    [[], true, true, 1],
    [[2, 2], true, false, 1],
    [[2, 2], false, true, 0.25],
    [[2, 2], true, true, 3],
    [[2, 2], false, false, 0.5],
  ] as const)(
    'gives the product that its definition gives, fused or not (leading %j, transposes %s %s, α = %d)',
    async (leading, transposeA, transposeB, alpha) => {
      const [m, n, p] = [2, 3, 4]
      const batches = leading.reduce<number>((count, d) => count * d, 1)
      const [shapeA, shapeB] = [
        [...leading, ...(transposeA ? [n, m] : [m, n])],
        [...leading, ...(transposeB ? [p, n] : [n, p])],
      ]
      const [a, b] = [numbers(batches * m * n), numbers(batches * n * p).map((value) => -value)]
      const y = matMul(input('a', shapeA, 'float32'), input('b', shapeB, 'float32'), { transposeA, transposeB, alpha })
      const expected = naiveProduct(a, b, batches, [m, n, p], transposeA, transposeB, alpha)
      for (const fusedMatMul of [true, false]) {
        const bytes = toOnnx({ y }, { fusedMatMul })
        const { node: written, domains } = readModel(bytes)
        const plain = !transposeA && !transposeB && alpha === 1
        expect(written.filter(({ domain }) => domain === 'com.microsoft').length).toBe(fusedMatMul && !plain ? 1 : 0)
        expect(domains).toEqual(fusedMatMul && !plain ? ['', 'com.microsoft'] : ['']) // what none of its nodes needs, a runtime need not know
        const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1 })
        const result = await session.run({
          a: new ort.Tensor('float32', Float32Array.from(a), shapeA),
          b: new ort.Tensor('float32', Float32Array.from(b), shapeB),
        })
        await session.release()
        assertClose(result['y']?.data as Float32Array, expected, { relative: reorderedFloat32, name: `fusedMatMul: ${fusedMatMul}` })
      }
    },
  )

  it.each([
    [[], false, false],
    [[], true, true],
    [[2, 2], false, false],
    [[2, 2], false, true],
  ] as const)('keeps all digits of α in float64 (leading %j, transposes %s %s)', async (leading, transposeA, transposeB) => {
    const batches = leading.reduce<number>((count, d) => count * d, 1)
    const [a, b] = [numbers(batches * 9), numbers(batches * 9).map((value) => 1 - value)]
    const alpha = 1 / Math.sqrt(3)
    const y = matMul(input('a', [...leading, 3, 3], 'float64'), input('b', [...leading, 3, 3], 'float64'), {
      transposeA,
      transposeB,
      alpha,
    })
    const results = await evaluate({ y }, { a: float64(a, [...leading, 3, 3]), b: float64(b, [...leading, 3, 3]) })
    assertClose(resultOf(results, 'y'), naiveProduct(a, b, batches, [3, 3, 3], transposeA, transposeB, alpha), {
      relative: 1e-14,
      name: 'α A B',
    })
  })

  it('writes an input that is declared twice once, and refuses two shapes or dtypes under one name', async () => {
    const twice = add(input('x', [2], 'float32'), mul(input('x', [2], 'float32'), 3))
    expect(readModel(toOnnx({ y: twice }, { fusedMatMul: true })).input.map(({ name }) => name)).toEqual(['x'])
    const { y } = await evaluate({ y: twice }, { x: float32([1, 2]) })
    expect([...(y as Float32Array)]).toEqual([4, 8])
    expect(() => toOnnx({ y: add(input('x', [2], 'float32'), input('x', [1], 'float32')) }, { fusedMatMul: true })).toThrow(
      'toOnnx: input x is declared twice, as [2] and as [1]',
    )
    expect(() => toOnnx({ y: input('x', [2], 'float32'), z: input('x', [2], 'int32') }, { fusedMatMul: true })).toThrow(
      'toOnnx: input x is declared twice',
    )
  })

  it("reads a weight at an odd offset of a file's bytes", async () => {
    const values = Float32Array.from([1.5, -2, 3.25, 4])
    const bytes = new Uint8Array(29).fill(255)
    bytes.set(new Uint8Array(values.buffer), 7)
    const y = mul(weight('w', [2, 2], 'float32', { location: 'model.safetensors', offset: 7, length: 16 }), input('x', [], 'float32'))
    const results = await evaluate({ y }, { x: float32([2], []) }, [{ location: 'model.safetensors', bytes }])
    expect([...(results['y'] as Float32Array)]).toEqual([3, -4, 6.5, 8])
  })

  it.each([
    // 1, −2, 0.5, 1.5 by their bit patterns: IEEE 754 binary16, and the upper half of binary32
    ['float16', [0x3c00, 0xc000, 0x3800, 0x3e00]],
    ['bfloat16', [0x3f80, 0xc000, 0x3f00, 0x3fc0]],
  ] as const)('reads %s weights through a cast', async (dtype, patterns) => {
    const bytes = new Uint8Array(9)
    bytes.set(new Uint8Array(Uint16Array.from(patterns).buffer), 1)
    const y = cast(weight('w', [4], dtype, { location: 'w.bin', offset: 1, length: 8 }), 'float32')
    const results = await evaluate({ y, z: add(y, input('x', [], 'float32')) }, { x: float32([10], []) }, [{ location: 'w.bin', bytes }])
    expect([...(results['y'] as Float32Array)]).toEqual([1, -2, 0.5, 1.5])
    expect([...(results['z'] as Float32Array)]).toEqual([11, 8, 10.5, 11.5])
  })

  it('serves many shapes by one session', () => {
    const x = input('x', ['batch', 'sequence', 2], 'float64')
    const rows = flattenRows(x)
    const outputs = {
      repeated: expand(input('row', [1, 2], 'float64'), ['batch*sequence', 2]),
      ones: expand(scalar(1, 'float64'), ['batch', 3, 'sequence']),
      oneMore: concat([rows, constant([7, 8], [1, 2], 'float64')], 0),
      zeros: expand(scalar(0, 'float64'), ['batch*sequence+1']),
      six: expand(scalar(6, 'float64'), ['6*batch']),
      count: cast(elementCount(x.shape), 'float64'),
    }
    return withGraph(outputs, async (run) => {
      for (const [batch, sequence] of [
        [1, 1],
        [2, 3],
        [4, 2],
      ] as const) {
        const data = numbers(batch * sequence * 2)
        const results = await run({ x: float64(data, [batch, sequence, 2]), row: float64([1, 2], [1, 2]) })
        expect([...(results['repeated'] ?? [])]).toEqual(Array.from({ length: batch * sequence }, () => [1, 2]).flat())
        expect(results['ones']?.length).toBe(batch * 3 * sequence)
        expect([...(results['oneMore'] ?? [])]).toEqual([...data, 7, 8])
        expect(results['zeros']?.length).toBe(batch * sequence + 1)
        expect(results['six']?.length).toBe(6 * batch)
        expect([...(results['count'] ?? [])]).toEqual([batch * sequence * 2])
      }
    })
  })

  it('reshapes to several sizes that only a run knows', () => {
    const x = input('x', ['a', 'b', 2], 'float64')
    const swapped = transpose(reshape(x, ['b', 'a', 2]), [1, 0, 2]) // of two unknown sizes neither follows from the other
    return withGraph({ swapped }, async (run) => {
      for (const [a, b] of [
        [1, 3],
        [3, 2],
      ] as const) {
        const data = numbers(a * b * 2)
        const at = (i: number, j: number, k: number): number => data[(j * a + i) * 2 + k] ?? NaN
        const expected = Array.from({ length: a * b * 2 }, (_, n) => at(Math.floor(n / (2 * b)), Math.floor(n / 2) % b, n % 2))
        expect(resultOf(await run({ x: float64(data, [a, b, 2]) }), 'swapped')).toEqual(expected)
      }
    })
  })

  it('reads a product of names from the input that has it if no input has its factors', async () => {
    const y = expand(scalar(2, 'float64'), ['a*b'])
    const { sum } = await evaluate({ sum: mul(input('x', ['a*b'], 'float64'), y) }, { x: float64([1, 2, 3]) })
    expect([...(sum as Float64Array)]).toEqual([2, 4, 6])
  })

  it('refuses an output with the name of an input', () => {
    expect(() => toOnnx({ x: exp(input('x', [2], 'float32')) }, { fusedMatMul: true })).toThrow('toOnnx: output x is an input too')
  })

  it('reports the dimension that no input has', () => {
    expect(() => toOnnx({ y: expand(scalar(1, 'float32'), ['unknown']) }, { fusedMatMul: true })).toThrow(
      "toOnnx: expected an input that carries dimension 'unknown', got none",
    )
  })

  it('gives every value a unique name, whatever number of leaves precedes the nodes that serialization adds', () => {
    for (let before = 1; before < 12; before++) {
      const x = concat(
        Array.from({ length: before }, (_, i) => input(`x${i}`, ['n', 'm', 2], 'float64')),
        2,
      )
      const swapped = matMul(transpose(x, [1, 0, 2]), transpose(x, [1, 0, 2]), { transposeA: true, alpha: 0.5 })
      const y = concat([expand(scalar(1, 'float64'), ['n', 'm', 2]), x, expand(scalar(2, 'float64'), ['n', 'm', 2])], 2)
      const { node } = readModel(toOnnx({ y: exp(y), swapped: exp(swapped) }, { fusedMatMul: false }))
      const names = node.flatMap(({ output }) => output)
      expect(new Set(names).size, `${before} leaves before`).toBe(names.length)
    }
  })

  it('gives a result several names, a leaf its name, and each part of a split its own', async () => {
    const x = input('x', [5], 'float64')
    const y = tanh(x)
    const [first, second, third] = split(sub(x, 1), [1, 3, 1])
    const results = await evaluate(
      {
        y,
        again: y,
        x2: x,
        c: constant([4, 5], [2], 'float64'),
        first: first as Expression,
        second: second as Expression,
        third: third as Expression,
      },
      { x: float64([1, 2, 3, 4, 5]) },
    )
    expect(results['again']).toEqual(results['y'])
    expect([...(results['x2'] ?? [])]).toEqual([1, 2, 3, 4, 5])
    expect([...(results['c'] ?? [])]).toEqual([4, 5])
    expect([results['first'], results['second'], results['third']].map((part) => [...(part ?? [])])).toEqual([[0], [1, 2, 3], [4]])
  })

  it('writes no node for a detached value, and names it if it is an output', async () => {
    const x = input('x', [2], 'float64')
    const types = (y: Expression): readonly string[] => readModel(toOnnx({ y }, { fusedMatMul: true })).node.map(({ opType }) => opType)
    expect(types(mul(stopGradient(tanh(x)), stopGradient(x)))).toEqual(['Tanh', 'Mul'])
    const detached = stopGradient(square(x))
    const results = await evaluate({ detached, fed: stopGradient(x), y: sub(detached, stopGradient(detached)) }, { x: float64([2, 3]) })
    expect([results['detached'], results['fed'], results['y']].map((y) => [...(y ?? [])])).toEqual([
      [4, 9],
      [2, 3],
      [0, 0],
    ])
  })

  it('refuses constants of a dtype that it cannot write', () => {
    expect(() => toOnnx({ y: constant([1], [1], 'bfloat16' satisfies DType) }, { fusedMatMul: true })).toThrow(
      'initializerBytes: expected one of float64, float32, int64, int32, int8, uint8, uint4, bool, got bfloat16',
    )
  })
})
