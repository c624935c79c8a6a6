/** The CPU: available everywhere, in float32 and float64. */
import { nativeDevice } from './device.js'

export const cpu = nativeDevice({
  name: 'cpu',
  target: {
    fusedMatMul: true,
    fusedGelu: true,
    fusedDecoder: true,
    cachedAttention: true,
    quantizedMatMul: true,
    scan: true,
    unknownShapes: true,
  },
  provider: { name: 'cpu' },
  preallocatedOutputs: true,
  tolerances: {
    float64: {
      relative: 1e-9,
      because:
        'an operation rounds by 1e-16; thousands of operations and divisions by small deviations reach 1e-12, a wrong formula 1e-3 or more',
    },
    float32: {
      relative: 1e-4,
      because:
        'an operation rounds by 6e-8; layer norms over few values and AdamW, which divides small gradients by their own size, lose two to three digits',
    },
  },
  remedy:
    'reinstall on this machine: npm ci in a clone, npm install in a project. ONNX Runtime supports Linux with glibc, macOS on Apple silicon, and Windows',
  automatic: 0,
})
