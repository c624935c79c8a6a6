/** Q8_0 of llama.cpp: blocks of 32 numbers, each a float16 scale and 32 int8 levels. */
import { toFloat16 } from '../../storage/float16.js'

const [block, blockBytes] = [32, 34]

/** The scale is the largest magnitude / 127; levels are rounded half away from zero, in float32 as ggml computes them. numbers: whole blocks */
export const quantizeQ80 = (numbers: Float32Array): Uint8Array => {
  const blocks = numbers.length / block
  const bytes = new Uint8Array(blocks * blockBytes)
  const levels = new Int8Array(bytes.buffer)
  const scales = new Float32Array(blocks)
  for (let i = 0; i < blocks; i++) {
    let largest = 0
    for (let j = i * block; j < (i + 1) * block; j++) largest = Math.max(largest, Math.abs(numbers[j] ?? NaN))
    const scale = Math.fround(largest / 127)
    scales[i] = scale
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
    for (let j = 0; j < block; j++) {
      const level = Math.fround((numbers[i * block + j] ?? NaN) * inverse)
      const size = Math.abs(level)
      const floor = Math.floor(size)
      levels[i * blockBytes + 2 + j] = Math.sign(level) * (floor + Math.floor(2 * (size - floor)))
    }
  }
  const halves = new Uint8Array(toFloat16(scales).buffer)
  for (let i = 0; i < blocks; i++) bytes.set(halves.subarray(2 * i, 2 * i + 2), i * blockBytes)
  return bytes
}
