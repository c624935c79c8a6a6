/** WebGPU, by Vulkan, Metal or Direct3D. It must be asked for: it also runs on software drivers, where it is the slowest choice. */
import type { Device } from './device.js'

export const webgpu: Device = {
  name: 'webgpu',
  // It has no FusedMatMul: such a node would run on the CPU instead. Its shaders are sure of eight storage buffers and no more: one for
  // what is cut, seven for the parts.
  target: { fusedMatMul: false, halfMatMul: true, largestSplit: 7 },
  provider: { name: 'webgpu' },
  tolerances: {
    float32: {
      relative: 1e-3,
      because:
        'WGSL lets exp, tanh, division and square roots err by several units in the last place, and multiply-adds may or may not be fused',
    },
    float16: {
      relative: 5e-2,
      because: 'it sums products in float16 as well: each of hundreds of terms is rounded to eleven bits',
    },
  },
  remedy:
    "install a Vulkan driver (on Debian and Ubuntu: apt-get install mesa-vulkan-drivers for a software one), or on a GPU machine the vendor's driver",
  automatic: null,
  preallocatedOutputs: false,
}
