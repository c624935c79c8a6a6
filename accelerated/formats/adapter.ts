/** A trained adapter as numbers: what a run hands over and a folder gives back, whatever the method and whatever the files. */
import type { Method } from '../methods/method.js'
import type { Model } from '../models/architecture.js'
import type { ModelOutputs } from '../models/modelOutputs.js'
import type { Settings } from '../training/settings.js'
import type { ModelFolder } from '../checkpoints/modelFolder.js'

/** Row-major float32 numbers of a shape. */
export type Weights = { readonly shape: ReadonlyArray<number>; readonly data: Float32Array }

export type Adapter = {
  readonly model: Model
  /** the hub id or the folder of the frozen model */
  readonly baseModelName: string
  readonly method: Method
  readonly settings: Settings
  /** of the method: one without randomness */
  readonly phase: unknown
  /** the method's tensors in that phase, by name */
  readonly tensors: ReadonlyMap<string, Weights>
  readonly outputs: ModelOutputs
  /** Trained head tensors by canonical name. Of a folder perhaps a part, or none: the rest is the model's own. */
  readonly head: ReadonlyMap<string, Weights>
  /** names of the classes in the order of the outputs */
  readonly labelNames: ReadonlyArray<string> | undefined
}

/** A layout of files in a folder. */
export type AdapterFormat = {
  /** for README's table */
  readonly title: string
  /** what opens such a folder, by the name that the Hugging Face hub has for it */
  readonly library: 'peft' | 'adapter-transformers' | 'transformers'
  /** Writes into an existing folder, each file whole or not at all. Throws Mistake. */
  readonly write: (folder: string, adapter: Adapter, base: ModelFolder) => Promise<void>
  /** The adapter in a folder, or null where its files are of another format. Throws Mistake for files that are of this one and wrong. */
  readonly read: (folder: string, base: ModelFolder) => Promise<Adapter | null>
  /** The same function as plain LoRA, for servers that know nothing else. Absent where there is none. */
  readonly asLora?: (adapter: Adapter) => Adapter
}
