/** What int8 is worth on this processor, by measurement: without VNNI, or its like, a product in int8 can be slower than one in float32. */
import { constant, input, matMul, quantisedMatMul } from '../../graph/operators.js'
import type { Device } from '../../runtime/devices/device.js'
import { noWeights } from '../../runtime/engine.js'
import { nodeEngine } from '../../runtime/node.js'

/** A product of RoBERTa-base's size, of few rows: long enough to measure, done in a moment. */
const [rows, side, runs] = [128, 768, 9]

/** The rate of a product in int8, rounding of its input included, over that in float32: the median of pairs that ran one after the other. */
export const int8Advantage = async (device: Device, threads: number): Promise<number> => {
  const numbers = Float64Array.from({ length: side * side }, (_, i) => (i % 251) - 125)
  const x = input('x', [rows, side], 'float32')
  const levels = constant(numbers, [side, side], 'int8')
  const engine = nodeEngine({ device, threads })
  const [exact, coarse] = [
    await engine.open({ y: matMul(x, constant(numbers, [side, side], 'float32')) }, noWeights),
    await engine.open({ y: quantisedMatMul(x, { levels, transposed: levels }) }, noWeights),
  ]
  const feeds = { x: { shape: [rows, side], data: Float32Array.from({ length: rows * side }, (_, i) => (i % 17) - 8) } }
  const timed = async (run: () => Promise<unknown>): Promise<number> => {
    const began = performance.now()
    await run()
    return performance.now() - began
  }
  try {
    const ratios: number[] = []
    for (let i = 0; i < runs; i++) ratios.push((await timed(() => exact.run(feeds))) / (await timed(() => coarse.run(feeds))))
    return ratios.sort((a, b) => a - b)[runs >> 1] ?? NaN
  } finally {
    await exact.release()
    await coarse.release()
  }
}
