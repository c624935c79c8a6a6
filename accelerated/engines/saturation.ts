/**
 * Whether products of uint8 and int8 saturate on this processor. x86 without VNNI adds them in pairs of 16 bits (`vpmaddubsw`), which hold up to
 * 32,767. The pair 2 · 255 · 127 exceeds that, so the sum is silently wrong (ONNX Runtime's documentation on quantization, `reduce_range`).
 */
import { constant, input } from '../graph/operators.js'
import { toOnnx } from '../graph/onnx.js'
import { quantizedMatMul } from '../graph/quantizedOperators.js'
import { onnxRuntime } from './loadOnnxRuntime.js'

/** Every term of the product is the largest. Processors have kernels for single rows and for several, so one of each. */
const [rows, inner, columns, level] = [16, 64, 16, 127]

const probe = async (): Promise<boolean> => {
  const ort = await onnxRuntime()
  const levels = (shape: readonly [number, number]) => constant(new Float64Array(inner * columns).fill(level), shape, 'int8')
  const matrix = { levels: levels([columns, inner]), transposed: levels([inner, columns]) }
  const graph = { y: quantizedMatMul(input('x', ['rows', inner], 'float32'), matrix) }
  const session = await ort.InferenceSession.create(toOnnx(graph, { fusedMatMul: false, quantizedMatMul: true }), {
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  })
  try {
    const isExact = async (count: number): Promise<boolean> => {
      const x = new ort.Tensor('float32', new Float32Array(count * inner).fill(1), [count, inner])
      const { y } = await session.run({ x })
      return Array.from((y?.data ?? []) as Float32Array).every((value) => Math.abs(value - inner * level) < 1)
    }
    return !((await isExact(1)) && (await isExact(rows)))
  } finally {
    await session.release()
  }
}

let found: Promise<boolean> | undefined

/** Multiplies once in a process, in a few milliseconds. @throws DeviceError if ONNX Runtime does not load */
export const productsSaturate = (): Promise<boolean> => (found ??= probe())
