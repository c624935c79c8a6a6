/** The CPU: everywhere, in float32 and float64. */
import type { Device } from './device.js'

export const cpu: Device = {
  name: 'cpu',
  target: { fusedMatMul: true, fusedGelu: true, quantizedMatMul: true, namelessSizes: true },
  provider: { name: 'cpu' },
  tolerances: {
    float64: {
      relative: 1e-9,
      because:
        'rounding is 1e-16 an operation; thousands of operations and divisions by small deviations leave 1e-12, a wrong formula leaves 1e-3 or more',
    },
    float32: {
      relative: 1e-4,
      because:
        'rounding is 6e-8 an operation; layer norms over few values and AdamW, which divides small gradients by their own size, lose two to three digits',
    },
  },
  remedy:
    'install again on this machine (npm ci in a clone, npm install in a project); ONNX Runtime is built for Linux with glibc, macOS on Apple silicon and Windows',
  automatic: 0,
  preallocatedOutputs: true,
}
