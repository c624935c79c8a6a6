/** A precision: what a run computes in, how it reads the model's frozen weights, and what it makes of the model for them. */
import type { ModelFolder } from '../checkpoints/modelFolder.js'
import type { FloatType } from '../graph/expression.js'
import type { OnnxTarget } from '../graph/onnx.js'
import type { TensorSource, Wrap } from '../models/host.js'
import type { Device } from '../engines/devices/device.js'
import type { WeightSource } from '../engines/engine.js'
import { SettingsError } from '../errors/settingsError.js'

/** Frozen tensors by canonical name, in the precision's dtype, and the files that they lie in. */
export type Frozen = { readonly tensor: TensorSource; readonly weights: WeightSource }

export type Precision = {
  /** what --precision says */
  readonly name: string
  /** a few words for --help */
  readonly summary: string
  /** of what is trained, and of everything that its wrap leaves alone */
  readonly dtype: FloatType
  /** by which of a device's tolerances its results are judged; absent: by its dtype's */
  readonly exactAs?: keyof Device['tolerances']
  /** Yields what it does where that takes its time. `cache`: a folder for what it makes, in place of the user's. @throws Mistake */
  readonly open: (base: ModelFolder, cache?: string) => AsyncGenerator<string, Frozen>
  /** of the frozen weights, in memory */
  readonly weightBytes: (base: Pick<ModelFolder, 'model' | 'frozen'>) => number
  /** what a device's graphs must be able to hold; absent: what all can */
  readonly runsOn?: (target: OnnxTarget) => boolean
  /** Runs a product of its kind where a device may lack the arithmetic for it. @throws what the runtime does */
  readonly tryOn?: (device: Device) => Promise<void>
  /** How many times as fast as float32 the products are that it changes, measured on this machine; absent: none are changed */
  readonly speedup?: (device: Device, threads: number) => Promise<number>
  /** Settings that it cannot serve, by the names of what the method trains. @throws SettingsError */
  readonly check?: (trained: ReadonlySet<string>, base: ModelFolder, method: string) => void
  /** The same tensors as `open` gives, at once, for who looks at their sizes alone. */
  readonly placeholders: (base: ModelFolder) => Promise<TensorSource>
  readonly wrap: Wrap
}

/** @throws SettingsError where the device has no arithmetic for it */
export const checkDevice = async ({ name, dtype, exactAs = dtype, runsOn, tryOn }: Precision, device: Device): Promise<void> => {
  if (device.tolerances[exactAs] === undefined || runsOn?.(device.target) === false)
    throw new SettingsError('precision', 'float32 on this device', `${name} on ${device.name}`)
  await tryOn?.(device).catch((thrown: unknown) => {
    const [reason = ''] = (thrown instanceof Error ? thrown.message : String(thrown)).split('\n')
    throw new SettingsError('precision', `float32, since this device has no arithmetic for ${name}`, `${device.name}: ${reason}`)
  })
}

/** The frozen weights, whatever it takes. @throws Mistake */
export const openFrozen = async ({ open }: Pick<Precision, 'open'>, base: ModelFolder, cache?: string): Promise<Frozen> => {
  const opening = open(base, cache)
  for (;;) {
    const next = await opening.next()
    if (next.done === true) return next.value
  }
}
