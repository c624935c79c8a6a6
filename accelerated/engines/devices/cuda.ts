/** NVIDIA GPUs by CUDA. TF32 is off unless the settings ask for it: its 10-bit mantissas exceed our tolerances. */
import { nativeDevice } from './device.js'

export const cuda = nativeDevice({
  name: 'cuda',
  target: { fusedMatMul: true, fusedGelu: true, halfMatMul: true },
  provider: { name: 'cuda' },
  isCuda: true,
  preallocatedOutputs: false,
  fallsBack: true,
  isolated: true,
  options: ['deviceId', 'tf32', 'strictDevice'],
  card: async (deviceId) => (await import('../nativeMachine.js')).nvidiaCard(deviceId),
  tolerances: {
    float32: { relative: 1e-4, because: 'as on the CPU: TF32 with its 10-bit mantissas is off, and only the order of sums differs' },
    float16: { relative: 2e-2, because: 'products are summed in float32 and rounded to the 11 bits of float16' },
  },
  library: 'onnxruntime_providers_cuda',
  remedy:
    'onnxruntime-node ships without its CUDA provider; with an NVIDIA GPU, CUDA 12 and cuDNN 9 installed, download it with: node "<onnxruntime-node>/script/install.js" --onnxruntime-node-install=cuda12',
  automatic: 1,
})
