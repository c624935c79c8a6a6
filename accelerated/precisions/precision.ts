/** A precision: the dtype of a run, how it reads the frozen weights, and how it wraps the model that uses them. */
import type { ModelFolder } from '../checkpoints/modelFolder.js'
import type { FloatType } from '../graph/expression.js'
import type { OnnxTarget } from '../graph/onnx.js'
import type { TensorSource, Wrap } from '../models/host.js'
import type { Device } from '../engines/devices/device.js'
import type { WeightSource } from '../engines/engine.js'
import { SettingsError } from '../errors/expectedErrors.js'

/** Frozen tensors by canonical name, in the precision's dtype, and the folder of their files. */
export type Frozen = { readonly tensor: TensorSource; readonly weights: WeightSource }

export type Precision = {
  /** its value of --precision */
  readonly name: string
  /** for --help */
  readonly summary: string
  /** of the trained tensors, and of everything that its wrap leaves alone */
  readonly dtype: FloatType
  /** the device's tolerance that its results must meet (default: that of its dtype) */
  readonly exactAs?: keyof Device['tolerances']
  /** Yields a line before slow work. `cache` replaces the user's cache folder. @throws InputError */
  readonly open: (base: ModelFolder, cache?: string) => AsyncGenerator<string, Frozen>
  /** bytes of the frozen weights in memory */
  readonly weightBytes: (base: Pick<ModelFolder, 'model' | 'frozen'>) => number
  /** Whether a device has the operators that it needs. Absent: every device has. */
  readonly runsOn?: (target: OnnxTarget) => boolean
  /** Runs one product of its kind, because a device may lack the arithmetic. @throws the runtime's error */
  readonly tryOn?: (device: Device) => Promise<void>
  /** Measures here how many times faster than in float32 its products are, on one thread. Absent: it changes no products. */
  readonly speedup?: (device: Device) => Promise<number>
  /** Checks the names of the tensors that the method trains. @throws SettingsError if this precision cannot serve them */
  readonly check?: (trained: ReadonlySet<string>, base: ModelFolder, method: string) => void
  /** Tensors of the shapes and types that `open` gives, without their files: for estimates. */
  readonly placeholders: (base: ModelFolder) => Promise<TensorSource>
  readonly wrap: Wrap
  /** A frozen matrix of the layers as its products have it. W: [d, k], row-major. Absent: as it is. */
  readonly round?: (W: Float32Array, shape: readonly number[]) => Float32Array
  /** the precision in which a decoder generates text (default: this one) */
  readonly decoding?: Precision
}

/** @throws SettingsError if the device lacks the arithmetic of this precision */
export const checkDevice = async ({ name, dtype, exactAs = dtype, runsOn, tryOn }: Precision, device: Device): Promise<void> => {
  if (device.tolerances[exactAs] === undefined || runsOn?.(device.target) === false)
    throw new SettingsError('precision', 'float32 on this device', `${name} on ${device.name}`)
  await tryOn?.(device).catch((thrown: unknown) => {
    const [reason = ''] = (thrown instanceof Error ? thrown.message : String(thrown)).split('\n')
    throw new SettingsError('precision', `float32, since this device has no arithmetic for ${name}`, `${device.name}: ${reason}`)
  })
}

/** Opens the frozen weights without reporting progress. @throws InputError */
export const openFrozen = async ({ open }: Pick<Precision, 'open'>, base: ModelFolder, cache?: string): Promise<Frozen> => {
  const opening = open(base, cache)
  for (;;) {
    const next = await opening.next()
    if (next.done === true) return next.value
  }
}
