/** A device: its engine, what its graphs may contain, how exact it is, and how to get it. The CPU, WebGPU and CUDA of onnxruntime-node. */
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

/** The CPU: available everywhere, in float32 and float64. */
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

/** WebGPU by Vulkan, Metal or Direct3D. `auto` never selects it: on a software driver it is the slowest choice. */
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

/** NVIDIA GPUs by CUDA. TF32 is off unless its name asks for it: its 10-bit mantissas exceed our tolerances. */
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
