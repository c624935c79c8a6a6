/** WebGPU by Vulkan, Metal or Direct3D. `auto` never selects it: on a software driver it is the slowest choice. */
import { nativeDevice } from './device.js'

export const webgpu = nativeDevice({
  name: 'webgpu',
  // WebGPU has no FusedMatMul, LogSoftmax and Size, so these nodes would run on the CPU. Its shaders guarantee eight storage buffers: one for a Split's input, seven
  // for the parts.
  target: { fusedMatMul: false, halfMatMul: true, largestSplit: 7, lacks: ['LogSoftmax', 'Size'] },
  provider: { name: 'webgpu' },
  preallocatedOutputs: false,
  keepsOutputs: true,
  fallsBack: true,
  isolated: true,
  tolerances: {
    float32: {
      relative: 1e-3,
      because: 'WGSL allows exp, tanh, division and square roots errors of several units in the last place, and may fuse multiply-adds',
    },
    float16: { relative: 5e-2, because: 'products are also summed in float16: each of hundreds of terms is rounded to 11 bits' },
  },
  remedy: async () => (await import('../nativeMachine.js')).vulkanRemedy(),
  automatic: null,
})
