/** The memory of a graph while it runs, by counts that can be made by hand, and the memory of an allocator like ONNX Runtime's. */
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Dimension, Expression } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { allocations, findPeak, type Allocation, weightMemory } from '../../../accelerated/graph/liveness.js'
import {
  constant,
  exp,
  gather,
  input,
  matMul,
  mul,
  checkpoint,
  reduceSum,
  reshape,
  split,
  tanh,
  weight,
} from '../../../accelerated/graph/operators.js'
import { quantizedMatMul } from '../../../accelerated/graph/quantizedOperators.js'
import { simulateArena } from '../../../accelerated/engines/arena.js'
import { hasFixedOutputs } from '../../../accelerated/engines/onnxRuntimeNode.js'
import { SEED } from '../../support/seed.js'
import { largeGraphs, tokens, valueBytes } from './largeGraphs.js'

const sizes = { rows: 100 }
const [width, bytes] = [8, 100 * 8 * 4]
const x = input('x', ['rows', width], 'float32')
const W = input('W', [width, width], 'float32')
const held = (outputs: Readonly<Record<string, Expression>>, given = false): number => findPeak(allocations(outputs, sizes, given)) / bytes
/** As x, of a shape that ONNX Runtime knows. */
const known = input('known', [100, width], 'float32')

describe('the memory of a graph', () => {
  it('a run holds one value in a chain of element-wise operators on a known shape', () => {
    expect(held({ y: matMul(tanh(tanh(tanh(matMul(known, W)))), W) })).toBe(2)
    expect(held({ y: reduceSum(tanh(tanh(tanh(matMul(known, W))))) })).toBeCloseTo(1, 2)
    expect(held({ y: reduceSum(tanh(tanh(tanh(matMul(x, W))))) })).toBe(2)
  })

  it('a run holds two values in a chain of products', () => {
    expect(held({ y: matMul(matMul(matMul(x, W), W), W) })).toBe(2)
    expect(held({ y: matMul(matMul(matMul(known, W), W), W) })).toBe(2)
  })

  it('a run holds two values in a chain of element-wise products', () =>
    expect(held({ y: reduceSum(mul(mul(matMul(known, W), 2), 2)) })).toBe(2))

  it('a run holds a value until its last reader', () => {
    const first = matMul(known, W)
    expect(held({ y: reduceSum(mul(tanh(first), first)) })).toBe(3)
  })

  it('a run holds for each known shape its largest need, even at different times', () => {
    const network = (rows: Dimension): Expression => {
      const small = matMul(matMul(input('z', [rows, width], 'float32'), W), W)
      const wide = matMul(small, input('V', [width, 4 * width], 'float32'))
      const wider = matMul(wide, input('U', [4 * width, 4 * width], 'float32'))
      return reduceSum(matMul(matMul(wider, input('D', [4 * width, width], 'float32')), W))
    }
    expect(Math.floor(held({ y: network('rows') }))).toBe(8)
    expect(Math.floor(held({ y: network(100) }))).toBe(10)
  })

  it('a run holds each part of a split until its last reader', () => {
    const [first, second] = split(input('vector', [2 * 100 * width], 'float32'), [100 * width, 100 * width]) as [Expression, Expression]
    expect(Math.floor(held({ y: reduceSum(exp(first)), z: reduceSum(exp(second)) }))).toBe(3)
  })

  it('a run holds no memory for a reshape', () => expect(held({ y: reduceSum(reshape(matMul(x, W), [width, 'rows'])) })).toBeCloseTo(1, 2))

  it('a run holds a reshaped value until the last reader of the reshape', () => {
    const named = reshape(matMul(x, W), [width, 'rows'])
    const product = matMul(exp(matMul(x, matMul(W, W))), named, { transposeA: true, transposeB: true }) // the second operand is computed first
    expect(Math.floor(held({ y: product }))).toBe(3)
  })

  it("a run holds nothing for inputs, and nothing for outputs in the caller's buffers", () => {
    expect(held({ y: tanh(x) })).toBe(1)
    expect(held({ y: tanh(x) }, true)).toBe(0)
  })

  it("a run holds every layer's values for a deep gradient; with checkpoints, the layer inputs and one layer", () => {
    const [layers, inLayer] = [6, 5]
    const network = (recompute: boolean): Readonly<Record<string, Expression>> => {
      const weights = Array.from({ length: layers * inLayer }, (_, i) => input(`W${i}`, [width, width], 'float32'))
      const h = Array.from({ length: layers }).reduce<Expression>((below, _, layer) => {
        const ofLayer = weights.slice(layer * inLayer, (layer + 1) * inLayer)
        const y = ofLayer.reduce((z, matrix) => tanh(matMul(z, matrix)), below)
        return recompute ? checkpoint(y, below) : y
      }, x)
      return Object.fromEntries(gradient(reduceSum(h), weights).map((slope, i) => [`slope${i}`, slope]))
    }
    const slopes = (layers * inLayer * width * width * 4) / bytes
    // tanh is written over its product: one value a step; and one or two that the walk back is made of
    expect(held(network(false))).toBeGreaterThanOrEqual(layers * inLayer)
    expect(held(network(false))).toBeLessThanOrEqual(layers * inLayer + 3 + slopes)
    expect(held(network(true))).toBeGreaterThanOrEqual(layers - 1 + inLayer)
    expect(held(network(true))).toBeLessThanOrEqual(layers + inLayer + 3 + slopes)
  })
})

const stored = (name: string, shape: readonly number[], dtype: 'float32' | 'float16' | 'int8' = 'float32'): Expression =>
  weight(name, shape, dtype, { location: 'w', offset: 0, length: 1 })

describe('a session holds of its weights', () => {
  const matrix = stored('matrix', [64, 64])
  const forward = matMul(input('a', ['rows', 64], 'float32'), matrix, { transposeB: true })
  const both = matMul(forward, matrix)

  it('a matrix as stored, or one reordered copy per orientation in products', () => {
    expect(weightMemory({ y: both }, sizes, false)).toBe(64 * 64 * 4)
    expect(weightMemory({ y: forward }, sizes, true)).toBe(64 * 64 * 4)
    expect(weightMemory({ y: both }, sizes, true)).toBe(2 * 64 * 64 * 4)
  })

  it("the pages of a table's rows that it reads, at most the table", () => {
    const table = (rows: number): Expression => gather(stored('table', [rows, 64]), input('ids', ['rows'], 'int32'))
    expect(weightMemory({ y: table(100_000) }, sizes, true)).toBe(100 * 4096)
    expect(weightMemory({ y: table(500) }, sizes, true)).toBe(500 * 64 * 4)
  })

  it('the levels of an int8 matrix that its product reads', () => {
    const levels = { levels: stored('levels', [64, 32], 'int8'), transposed: stored('transposed', [32, 64], 'int8') }
    const product = quantizedMatMul(input('b', ['rows', 32], 'float32'), {
      ...levels,
      scales: constant(new Array<number>(64).fill(1), [64], 'float32'),
    })
    expect(weightMemory({ y: product }, sizes, true)).toBe(32 * 64)
  })
})

describe(`the arena (seed ${SEED})`, () => {
  const [a, b, c] = [{}, {}, {}]
  const take = (buffer: object, size: number): Allocation => ({ buffer, bytes: size })
  const give = (buffer: object, size: number): Allocation => ({ buffer, bytes: -size })
  const mega = 2 ** 20

  it('reuses freed memory', () => expect(simulateArena([take(a, mega), give(a, mega), take(b, mega)])).toBe(mega))

  it('does not split a chunk that is smaller than twice the request', () =>
    // 640 KiB have a region of 1 MiB whole, and what comes after them has another; then there is room for 896 KiB
    expect(simulateArena([take(a, (5 / 8) * mega), take(b, mega / 4), give(a, (5 / 8) * mega), take(c, (7 / 8) * mega)])).toBe(
      (7 / 8 + 1 / 4) * mega,
    ))

  it.each([
    [0, 1],
    [1, 0],
  ])('joins neighbors, whichever comes back first', (first, second) => {
    const pair = [a, b] as const
    const back = [first, second].map((i) => give(pair[i === 0 ? 0 : 1], mega / 4))
    expect(simulateArena([take(a, mega / 4), take(b, mega / 4), ...back, take(c, mega / 2)])).toBe(mega / 2)
  })

  it('asks for regions each twice as large as the one before', () => {
    const [piece, buffers] = [0.6 * 1000 * 1024, [{}, {}, {}, {}]] // the second region has room for three of them, and then for 1.5 MiB
    const events = [...buffers.map((buffer) => take(buffer, piece)), ...buffers.map((buffer) => give(buffer, piece)), take(a, 1.5 * mega)]
    expect(simulateArena(events)).toBe(4 * piece)
  })

  it('cannot serve a large request from two separate free chunks', () =>
    expect(
      simulateArena([take(a, mega / 4), take(b, mega / 4), take(c, mega / 4), give(a, mega / 4), give(c, mega / 4), take(a, mega)]),
    ).toBe(0.75 * mega + mega))

  const drawn = fc.array(fc.record({ size: fc.integer({ min: 1, max: 3 * mega }), keeps: fc.integer({ min: 1, max: 6 }) }), {
    minLength: 1,
    maxLength: 60,
  })

  it('writes at least the peak, and at most twice that if the same allocations repeat', () =>
    fc.assert(
      fc.property(drawn, (pieces) => {
        const events = pieces.flatMap(({ size, keeps }, i) => {
          const buffer = { i }
          return [
            { at: i, event: take(buffer, size) },
            { at: i + keeps - 0.5, event: give(buffer, size) },
          ]
        })
        const sorted = events.sort((p, q) => p.at - q.at).map(({ event }) => event)
        const [once, twice] = [simulateArena(sorted), simulateArena([...sorted, ...sorted])]
        expect(once).toBeGreaterThanOrEqual(findPeak(sorted))
        expect(twice).toBeGreaterThanOrEqual(once)
        expect(twice).toBeLessThanOrEqual(2 * once + 2 * mega)
      }),
      { seed: SEED, numRuns: 300 },
    ))
})

/** Only Linux reports exactly what a process holds. */
describe.skipIf(process.platform !== 'linux')('ONNX Runtime holds, of large values,', () => {
  const program = resolve('dist/property-tests/property/graph/residentRun.js')

  it.each(Object.entries(largeGraphs))('%s, the memory that liveness and arena predict', async (name, y) => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, name])
    const events = allocations({ y }, { tokens }, hasFixedOutputs({ y }))
    const simulated = simulateArena([...events, ...events])
    expect(Math.abs(Number(stdout) - simulated), `${stdout.trim()} bytes, by liveness and arena ${simulated}`).toBeLessThan(valueBytes / 2)
  })
})
