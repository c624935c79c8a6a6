/** NVIDIA GPUs by CUDA. TF32 is off: its ten-bit mantissas would not meet our tolerances. */
import type { Device } from './device.js'

export const cuda: Device = {
  name: 'cuda',
  target: { fusedMatMul: true, fusedGelu: true, halfMatMul: true },
  provider: { name: 'cuda', use_tf32: 0 },
  tolerances: {
    float32: {
      relative: 1e-4,
      because: 'as the CPU: TF32, whose mantissas have ten bits, is switched off, and only the order of sums differs',
    },
    float16: { relative: 2e-2, because: 'products are summed in float32, and rounded to the eleven bits of float16' },
  },
  library: 'onnxruntime_providers_cuda',
  remedy:
    'onnxruntime-node comes without its CUDA provider; with an NVIDIA GPU, CUDA 12 and cuDNN 9 installed, fetch it with: node "<onnxruntime-node>/script/install.js" --onnxruntime-node-install=cuda12',
  automatic: 1,
  preallocatedOutputs: false,
}
