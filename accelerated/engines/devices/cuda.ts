/** NVIDIA GPUs by CUDA. TF32 is off unless its name asks for it: its 10-bit mantissas exceed our tolerances. */
import { nativeDevice, type CardChoice, type Device } from './device.js'

const firstCard = nativeDevice({
  name: 'cuda',
  target: { fusedMatMul: true, fusedGelu: true, halfMatMul: true },
  provider: { name: 'cuda' },
  isCuda: true,
  preallocatedOutputs: false,
  fallsBack: true,
  isolated: true,
  tolerances: {
    float32: { relative: 1e-4, because: 'as on the CPU: TF32 with its 10-bit mantissas is off, and only the order of sums differs' },
    float16: { relative: 2e-2, because: 'products are summed in float32 and rounded to the 11 bits of float16' },
  },
  library: 'onnxruntime_providers_cuda',
  remedy:
    'onnxruntime-node ships without its CUDA provider; with an NVIDIA GPU, CUDA 12 and cuDNN 9 installed, download it with: node "<onnxruntime-node>/script/install.js" --onnxruntime-node-install=cuda12',
  automatic: 1,
})

/** Runs resume on another card, but not with or without TF32, which its name has. */
const onCard = ({ deviceId, tf32 }: CardChoice): Device => ({
  ...firstCard,
  name: tf32 ? 'cuda:tf32' : 'cuda',
  engine: (settings) => firstCard.engine({ ...settings, deviceId, tf32 }),
  card: async () => (await import('../nativeMachine.js')).nvidiaCard(deviceId),
  variant: onCard,
})

export const cuda = onCard({ deviceId: 0, tf32: false })
