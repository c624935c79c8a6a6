/** A device: its engine, what its graphs may contain, how exact it is, and how to get it. */
import type { Card } from '../nativeMachine.js'
import type { FloatType } from '../../graph/expression.js'
import type { OnnxTarget } from '../../graph/onnx.js'
import type { Engine, EngineSettings } from '../engine.js'
import type { Provider } from '../onnxRuntimeNode.js'

/** The largest allowed error as a share of a tensor's largest |reference|, and the reason for that bound. */
type Tolerance = { readonly relative: number; readonly because: string }

/** deviceId: the number of the card · tf32: whether products of float32 numbers may use TF32 */
export type CardChoice = { readonly deviceId: number; readonly tf32: boolean }

export type Device = {
  /** its value of --device */
  readonly name: string
  readonly engine: (settings: EngineSettings) => Engine
  /** operators that its graphs may contain */
  readonly target: OnnxTarget
  /** the number types that it computes in */
  readonly tolerances: Readonly<Partial<Record<FloatType | 'float16', Tolerance>>>
  /** The card that it runs on; null: it cannot be read here. Absent: the device shares the memory of the machine, or nobody can ask. */
  readonly card?: () => Promise<Card | null>
  /** The same device on another of its cards, or in TF32. Absent: it has neither. */
  readonly variant?: (choice: CardChoice) => Device
  /** whether `salora doctor` runs it in a process of its own, which its driver may end (default: no) */
  readonly isolated?: boolean
  /** Finds what this machine lacks for it without running it; null: nothing. Absent: running it is the only check. */
  readonly missing?: () => Promise<string | null>
  /** What to do if it does not work. */
  readonly remedy: () => Promise<string>
  /** `auto` takes the working device with the largest number; null: only an explicit --device selects it */
  readonly automatic: number | null
}

// Devices that are execution providers of onnxruntime-node, which loads at their first use: settings list devices and must not touch Node. A
// device with an engine of its own needs nothing of this file.
type NativeDevice = Omit<Device, 'engine' | 'missing' | 'remedy'> &
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
    const { containsProvider } = await import('../nativeMachine.js')
    return (await containsProvider(provider.name, library)) ? null : 'not in this build of ONNX Runtime'
  },
  remedy: async () =>
    (typeof remedy === 'string' ? remedy : await remedy()).replace(
      '<onnxruntime-node>',
      (await import('../nativeMachine.js')).runtimeFolder(),
    ),
})
