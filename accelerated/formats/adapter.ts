/** A trained adapter as numbers: the result of a run, and what a folder of any format contains. */
import type { ModelFolder, WholeModules } from '../checkpoints/modelFolder.js'
import type { Method } from '../methods/method.js'
import type { Model } from '../models/architecture.js'
import type { ModelOutputs } from '../models/modelOutputs.js'
import type { Storage } from '../storage/storage.js'
import type { Settings } from '../training/resolveSettings.js'

/** A tensor of float32 numbers, row-major. */
export type Weights = { readonly shape: readonly number[]; readonly data: Float32Array }

export type Adapter = {
  readonly model: Model
  /** hub id or folder of the frozen model */
  readonly baseModelName: string
  readonly method: Method
  readonly settings: Settings
  /** the method's phase, one without randomness */
  readonly phase: unknown
  /** the method's tensors in that phase, by name */
  readonly tensors: ReadonlyMap<string, Weights>
  readonly outputs: ModelOutputs
  /** trained head tensors by canonical name; a folder may lack some or all, which are then the model's */
  readonly head: ReadonlyMap<string, Weights>
  /** class names in the order of the outputs */
  readonly labelNames: readonly string[] | undefined
  /** what its files have whole of the base model, which has it too (default: nothing) */
  readonly whole?: WholeModules
}

/** A file layout of adapters. */
export type AdapterFormat = {
  /** its name in the table of formats */
  readonly title: string
  /** the library that opens the folder, by its name on the Hugging Face hub */
  readonly library: 'peft' | 'adapter-transformers' | 'transformers'
  /** whether its files can have a classifier on the embeddings of a sentence encoder (default: no) */
  readonly readsEmbeddings?: true
  /** Writes into an existing folder, each file entirely or not at all. @throws InputError */
  readonly write: (folder: string, adapter: Adapter, base: ModelFolder, storage: Storage) => Promise<void>
  /** The adapter in a folder; null if its files are of another format. @throws InputError if they are of this format and wrong */
  readonly read: (folder: string, base: ModelFolder, storage: Storage) => Promise<Adapter | null>
  /** The same function as plain LoRA, for servers that support nothing else; absent if there is none. */
  readonly asLora?: (adapter: Adapter) => Adapter
}
