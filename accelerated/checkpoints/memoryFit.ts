/** Whether a model's weights fit into memory, and how many of its layers would. A file without content may claim any size. */
import { inputError, type InputError } from '../errors/inputError.js'
import type { ModelSpec } from '../models/architecture.js'
import type { TensorEntry } from './safetensors/safetensors.js'
import { elementCount } from './safetensors/safetensorsHeader.js'

/** Runs before a number is read. No precision takes less than one byte per number; precisions/memoryCheck.ts knows what each one takes. @throws InputError */
export const checkLeastMemory = (spec: ModelSpec, frozen: ReadonlyMap<string, TensorEntry>, folder: string, memory: number): void => {
  const bytes = numbersIn(frozen.values())
  if (bytes > memory) throw tooLarge(folder, memory, `${inGigabytes(bytes)} at one byte per number`, layersThatFit(spec, frozen, memory))
}

/** How many of the model's layers fit at one byte per number, beside the rest of the model. */
export const layersThatFit = ({ layers }: ModelSpec, frozen: ReadonlyMap<string, TensorEntry>, memory: number): string => {
  const ofLayers = numbersIn([...frozen].filter(([name]) => layers.some((layer) => name.startsWith(`${layer.name}.`))).map(([, x]) => x))
  const left = memory - (numbersIn(frozen.values()) - ofLayers)
  return `${Math.max(0, Math.floor((left * layers.length) / ofLayers))} of its ${layers.length} layers would fit`
}

export const tooLarge = (folder: string, memory: number, got: string, remedy: string): InputError =>
  inputError(folder, `weights that fit into memory (${inGigabytes(memory)} here)`, `${got}; ${remedy}`)

export const inGigabytes = (bytes: number): string => `${(bytes / 1e9).toPrecision(3)} GB`

const numbersIn = (entries: Iterable<TensorEntry>): number => [...entries].reduce((sum, { shape }) => sum + elementCount(shape), 0)
