/** A precision: what a run computes in, how it reads the model's frozen weights, and what it makes of the model for them. */
import type { ModelFolder } from '../files/modelFolder.js'
import type { FloatType } from '../graph/expression.js'
import type { OnnxTarget } from '../graph/onnx.js'
import type { TensorSource, Wrap } from '../models/host.js'
import type { WeightSource } from '../runtime/engine.js'

/** Frozen tensors by canonical name, in the precision's dtype, and the files that they lie in. */
export type Frozen = { readonly tensor: TensorSource; readonly weights: WeightSource }

export type Precision = {
  /** what --precision says */
  readonly name: string
  /** of what is trained, and of everything that its wrap leaves alone */
  readonly dtype: FloatType
  /** Yields what it does where that takes its time. @throws Mistake */
  readonly open: (base: ModelFolder) => AsyncGenerator<string, Frozen>
  /** what a device's graphs must be able to hold; absent: what all can */
  readonly runsOn?: (target: OnnxTarget) => boolean
  /** Settings that it cannot serve, by the names of what the method trains. @throws SettingsError */
  readonly check?: (trained: ReadonlySet<string>, base: ModelFolder, method: string) => void
  readonly wrap: Wrap
}

/** The frozen weights, whatever it takes. @throws Mistake */
export const openFrozen = async ({ open }: Pick<Precision, 'open'>, base: ModelFolder): Promise<Frozen> => {
  const opening = open(base)
  for (;;) {
    const next = await opening.next()
    if (next.done === true) return next.value
  }
}
