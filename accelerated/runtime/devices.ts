/** Devices: which ONNX Runtime execution provider each is, and what its graphs may contain. One table, no fallback. */
import type { OnnxTarget } from '../graph/onnx.js'

export type Device = 'cpu' | 'webgpu' | 'cuda'
export const devices: ReadonlyArray<Device> = ['cpu', 'webgpu', 'cuda']

/**
 * WebGPU has no FusedMatMul: such a node would run on the CPU instead. Its shaders are sure of eight storage buffers and no more: one for
 * what is cut, seven for the parts.
 */
export const onnxTarget = (device: Device): OnnxTarget =>
  device === 'webgpu' ? { fusedMatMul: false, largestSplit: 7 } : { fusedMatMul: true }

/** The provider by ONNX Runtime's name for it. CUDA's TF32 is off: its ten-bit mantissas would not meet our tolerances. */
export const executionProvider = (device: Device): { readonly name: string } & Record<string, unknown> =>
  device === 'cuda' ? { name: 'cuda', use_tf32: 0 } : { name: device }
