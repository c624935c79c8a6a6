/** The CPU's engine on one thread, with one property of its provider changed: other operators, or results that are copied. */
import type { Engine } from '../../accelerated/engines/engine.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { nodeEngine, type Provider } from '../../accelerated/engines/onnxRuntimeNode.js'

export const cpuEngine = (change: Partial<Provider> = {}): Engine =>
  nodeEngine({ provider: { name: 'cpu' }, target: cpu.target, preallocatedOutputs: true, ...change }, { threads: 1 })
