/**
 * Runs whose results are written into the caller's buffers and not copied.
 * ONNX Runtime writes an output into the tensor that a run passes for it. The binding then copies every result (1.5 GB per step of full
 * fine-tuning). It converts results in order and throws at the first that is not a tensor. So each graph gets an empty sequence as its first output,
 * and that error means that the buffers are filled. This behavior is undocumented: a one-node graph probes it once per process, and without it the
 * engine copies.
 */
import type { InferenceSession, Tensor } from 'onnxruntime-node'
import { toOnnx } from '../graph/onnx.js'
import { add, input } from '../graph/operators.js'
import type { Feed } from './feeds.js'
import { guardNativeCall } from './nativeCallGuard.js'
import type { OnnxRuntime } from './loadOnnxRuntime.js'

export type Tensors = Readonly<Record<string, Tensor>>

/** The name of the empty sequence among a graph's outputs. */
export const sentinelOutput = 'not a tensor'

/** What the binding's error says about it. */
const refusal = 'Non tensor type'

/** Runs a graph that has `sentinelOutput` and leaves its results in the tensors of `fetches`. */
export const runIntoBuffers = async (session: InferenceSession, feeds: Tensors, fetches: Tensors): Promise<void> => {
  try {
    await guardNativeCall(() => session.run(feeds, { [sentinelOutput]: null, ...fetches }))
  } catch (error) {
    if (error instanceof Error && error.message.includes(refusal)) return
    throw error
  }
  throw new Error('runIntoBuffers: expected the binding to refuse a sequence, got it converted')
}

let probe: Promise<boolean> | null = null

/** Whether this binding behaves as described above; probed at the first call. */
export const canWriteIntoBuffers = (ort: OnnxRuntime): Promise<boolean> => {
  probe ??= addsOne(ort).catch(() => false)
  return probe
}

/** Whether y = x + 1 arrives in its buffer. */
const addsOne = async (ort: OnnxRuntime): Promise<boolean> => {
  const model = toOnnx({ y: add(input('x', [1], 'float32'), 1) }, { fusedMatMul: false }, sentinelOutput)
  const options: InferenceSession.SessionOptions = { executionProviders: ['cpu'], intraOpNumThreads: 1, logSeverityLevel: 3 }
  const session = await guardNativeCall(() => ort.InferenceSession.create(model, options))
  try {
    const y = Float32Array.of(0)
    const tensor = (data: Float32Array): Tensor => toTensor(ort, { data, shape: [1] })
    await runIntoBuffers(session, { x: tensor(Float32Array.of(2)) }, { y: tensor(y) })
    return y[0] === 3
  } finally {
    await guardNativeCall(() => session.release())
  }
}

export const toTensor = ({ Tensor: NativeTensor }: Pick<OnnxRuntime, 'Tensor'>, { data, shape }: Feed): Tensor => {
  if (data instanceof Float64Array) return new NativeTensor('float64', data, shape)
  if (data instanceof Int32Array) return new NativeTensor('int32', data, shape)
  if (data instanceof BigInt64Array) return new NativeTensor('int64', data, shape)
  return new NativeTensor('float32', data, shape)
}
