/** Measures how much faster products of low precision are on this machine: without VNNI or similar, int8 can be slower than float32. */
import type { Expression } from '../graph/expression.js'
import { cast, constant, input, matMul } from '../graph/operators.js'
import { blockSize, fourBitMatMul, halfMatMul, quantizedMatMul, zeroScale } from '../graph/quantizedOperators.js'
import type { Device } from '../engines/devices/device.js'
import { noWeights } from '../engines/engine.js'

/** A product of RoBERTa-base's width with few rows: it takes milliseconds, long enough to measure. */
const [rows, side, turns] = [128, 768, 20]
const numbers = (): Float64Array => Float64Array.from({ length: side * side }, (_, i) => (i % 251) - 125)

type Product = (x: Expression) => Expression

/**
 * Time of the product in float32 over its time with `product`, rounding of the input included. Each time is the shortest of several runs, taken in
 * turns: other processes can only lengthen a run. On a busy machine, several threads rarely run undisturbed together, so it measures one.
 */
const measureSpeedup = async (product: Product, device: Device): Promise<number> => {
  const x = input('x', [rows, side], 'float32')
  const engine = device.engine({ threads: 1 })
  const exact = await engine.open({ y: matMul(x, constant(numbers(), [side, side], 'float32')) }, noWeights)
  const feeds = { x: { shape: [rows, side], data: Float32Array.from({ length: rows * side }, (_, i) => (i % 17) - 8) } }
  const into = { y: { shape: [rows, side], data: new Float32Array(rows * side) } } // a new buffer for each run costs page faults
  const timed = async (run: () => Promise<unknown>): Promise<number> => {
    const start = performance.now()
    await run()
    return performance.now() - start
  }
  try {
    const coarse = await engine.open({ y: product(x) }, noWeights)
    try {
      let [slow, fast] = [Infinity, Infinity]
      for (let i = 0; i < turns; i++) {
        slow = Math.min(slow, await timed(() => exact.run(feeds, into)))
        fast = Math.min(fast, await timed(() => coarse.run(feeds, into)))
      }
      return slow / fast
    } finally {
      await coarse.release()
    }
  } finally {
    await exact.release()
  }
}

export const int8Speedup = (device: Device): Promise<number> => {
  const levels = constant(numbers(), [side, side], 'int8')
  return measureSpeedup((x) => quantizedMatMul(x, { levels, transposed: levels }), device)
}

export const int4Speedup = (device: Device): Promise<number> => {
  const blocks = side / blockSize
  const levels = constant(
    numbers()
      .map(Math.abs)
      .map((x) => x % 16),
    [side, blocks, blockSize],
    'uint4',
  )
  const blockScales = constant(new Float64Array(side * blocks).fill(zeroScale + 9), [side, blocks], 'uint8')
  return measureSpeedup((x) => fourBitMatMul(x, { levels, blockScales, columns: side }), device)
}

export const float16Speedup = (device: Device): Promise<number> =>
  measureSpeedup((x) => halfMatMul(x, cast(constant(numbers(), [side, side], 'float32'), 'float16')), device)

/** Runs a product of one number. @throws the runtime's error if a GPU has no float16 arithmetic */
export const tryHalf = async (device: Device): Promise<void> => {
  const one = constant([1], [1, 1], 'float32')
  const session = await device
    .engine({ threads: 1 })
    .open({ y: halfMatMul(input('x', [1, 1], 'float32'), cast(one, 'float16')) }, noWeights)
  await session.run({ x: { shape: [1, 1], data: Float32Array.of(1) } }).finally(session.release)
}
