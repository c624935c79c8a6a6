/** A device that is in no release: the CPU's provider under another name. What a new device's one file looks like. */
import type { Device } from '../../../accelerated/engines/devices/device.js'

export const abacus: Device = {
  name: 'abacus',
  target: { fusedMatMul: false },
  provider: { name: 'cpu' },
  tolerances: { float32: { relative: 1e-3, because: 'beads stick' } },
  remedy: 'buy one',
  automatic: 2,
  preallocatedOutputs: false,
}
