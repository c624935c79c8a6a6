/**
 * Devices that are execution providers of onnxruntime-node, which loads at their first use: settings list devices and must not touch Node. A
 * device with an engine of its own needs nothing of this file.
 */
import type { Provider } from '../onnxRuntimeNode.js'
import type { Device } from './device.js'

export type NativeDevice = Omit<Device, 'engine' | 'missing' | 'remedy'> &
  Omit<Provider, 'target'> & {
    /** a file that the provider needs, without prefix and suffix */
    readonly library?: string
    /** `<onnxruntime-node>` stands for the folder of that package */
    readonly remedy: string | (() => Promise<string>)
  }

export const nativeDevice = ({
  provider,
  preallocatedOutputs,
  fallsBack = false,
  isCuda = false,
  keepsOutputs = false,
  library,
  remedy,
  ...device
}: NativeDevice): Device => ({
  ...device,
  engine: (settings) => ({
    cachedAttention: device.target.cachedAttention === true,
    scan: device.target.scan === true,
    open: async (...graph) => {
      const { nodeEngine } = await import('../onnxRuntimeNode.js')
      return nodeEngine({ provider, preallocatedOutputs, fallsBack, isCuda, keepsOutputs, target: device.target }, settings).open(...graph)
    },
  }),
  missing: async () => {
    const { containsProvider } = await import('../onnxRuntimePackage.js')
    return (await containsProvider(provider.name, library)) ? null : 'not in this build of ONNX Runtime'
  },
  remedy: async () =>
    (typeof remedy === 'string' ? remedy : await remedy()).replace(
      '<onnxruntime-node>',
      (await import('../onnxRuntimePackage.js')).runtimeFolder(),
    ),
})
