/** A model in Hugging Face layout: its configuration, and where each of its tensors lies, by canonical name. */
import { realpath, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Model, ModelSpec } from '../models/architecture.js'
import type { TaskOutputs } from '../objectives/taskType.js'
import { configLimit, parseConfigFile, type ConfigFile } from './configFile.js'
import { inputError, quoted, type InputError } from '../errors/inputError.js'
import { memoryLimit } from '../engines/memoryLimit.js'
import { sameShape } from '../graph/expression.js'
import { readText } from '../storage/boundedJson.js'
import { readChunks } from './safetensors/safetensors.js'
import { elementCount, showShape, type TensorEntry } from './safetensors/safetensorsHeader.js'
import { fileInFolder, locateFiles, openWeights, type WeightFiles } from './safetensors/weightFiles.js'

/** An opened model folder. No weight has been read: an entry says where its numbers lie. */
export type ModelFolder = {
  readonly folder: string
  readonly model: Model
  /** what config.json says of the outputs of a classifier */
  readonly outputs: ConfigFile['outputs']
  /** What other tools call the model: the hub id if the folder is in a hub cache or was given one, else the folder. */
  readonly baseModelName: string
  /** The model's tensors: exactly those of its outline, with those shapes, in F32, F16, BF16 or F64. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** Those tensors, and what a head over the vocabulary has of its own where the files have it: all that a run may read and never trains. */
  readonly frozen: ReadonlyMap<string, TensorEntry>
  /** The files of those. */
  readonly files: WeightFiles
  /** Tensors of heads (BERT's pooler among them) and others beside the outline's, by canonical name: real numbers of any shape. */
  readonly others: ReadonlyMap<string, TensorEntry>
  /** The names of config.json's id2label in the order of the outputs; undefined if it has none. */
  readonly labelNames: ReadonlyArray<string> | undefined
}

/** `baseModelName` replaces what the folder suggests; `memory`: bytes that the weights may have, all that the process may use if none is given. */
export type OpenOptions = { readonly baseModelName?: string; readonly memory?: number }

/** Opens a folder and checks configuration, tensor names, shapes and types; weights stay on disk. Throws Mistake. */
export const openModelFolder = async (folder: string, options: OpenOptions = {}): Promise<ModelFolder> => {
  const { model, outputs, labelNames } = await openConfigFile(folder)
  const found = canonicalTensors(await openWeights(folder), model.naming.prefix, folder)
  const tensors = new Map([...model.spec.tensors].map(([name, shape]) => [name, required(found, name, shape, folder)]))
  const others = new Map([...found].filter(([name, entry]) => !tensors.has(name) && isReal(entry)))
  const ofHead = [...(model.causalHead?.().frozen ?? [])].flatMap(([name, shape]): ReadonlyArray<[string, TensorEntry]> => {
    const entry = headTensor({ others }, name, shape)
    return entry === undefined ? [] : [[name, entry]]
  })
  const frozen = new Map([...tensors, ...ofHead])
  checkRoom(model, frozen, folder, options.memory ?? memoryLimit())
  const own = new Set([...tensors.keys()].map(firstPart))
  const stray = [...found].find(([name]) => !tensors.has(name) && own.has(firstPart(name)))
  if (stray !== undefined) {
    throw inputError(
      stray[1].file,
      `no tensor of the ${model.spec.kind} beyond those of config.json (${model.spec.layers.length} layers)`,
      quoted(stray[1].name),
    )
  }
  return {
    folder,
    model,
    outputs,
    tensors,
    frozen,
    files: await locateFiles(folder, new Set([...frozen.values()].map(({ file }) => file))),
    others,
    labelNames,
    baseModelName: options.baseModelName ?? (await hubIdOf(folder)) ?? folder,
  }
}

const firstPart = (name: string): string => name.split('.')[0] ?? ''

/**
 * Asked before a number is read: a step needs every weight, and a file without content may claim any size. No precision takes less than a byte
 * a number; what each takes, room.ts knows.
 */
const checkRoom = ({ spec }: Model, frozen: ReadonlyMap<string, TensorEntry>, folder: string, memory: number): void => {
  const bytes = numbersIn(frozen.values())
  if (bytes > memory) throw tooLarge(folder, memory, `${inGigabytes(bytes)} at a byte a number`, layersThatFit(spec, frozen, memory))
}

/** How many of the model's layers would fit, at a byte a number; the rest of the model as it is. */
export const layersThatFit = ({ layers }: ModelSpec, frozen: ReadonlyMap<string, TensorEntry>, memory: number): string => {
  const ofLayers = numbersIn([...frozen].filter(([name]) => layers.some((layer) => name.startsWith(`${layer.name}.`))).map(([, x]) => x))
  const room = memory - (numbersIn(frozen.values()) - ofLayers)
  return `${Math.max(0, Math.floor((room * layers.length) / ofLayers))} of its ${layers.length} layers would fit so`
}

export const tooLarge = (folder: string, memory: number, found: string, remedy: string): InputError =>
  inputError(folder, `weights that fit into memory (${inGigabytes(memory)} here)`, `${found}; ${remedy}`)

const numbersIn = (entries: Iterable<TensorEntry>): number => [...entries].reduce((sum, { shape }) => sum + elementCount(shape), 0)
export const inGigabytes = (bytes: number): string => `${(bytes / 1e9).toPrecision(3)} GB`

/** The entry of a head's tensor where the folder has it in this shape. */
export const headTensor = (
  { others }: Pick<ModelFolder, 'others'>,
  name: string,
  shape: ReadonlyArray<number>,
): TensorEntry | undefined => {
  const entry = others.get(name)
  return entry !== undefined && sameShape(shape, entry.shape) ? entry : undefined
}

/** Tensors of a head over the vocabulary that stand beside the model's own, where the outputs are its words. Throws Mistake for one that is missing. */
export const frozenHead = ({ model, others, folder }: ModelFolder, { taskType }: TaskOutputs): ReadonlyMap<string, TensorEntry> => {
  const shapes = taskType === 'causal' ? model.causalHead?.().frozen : undefined
  return new Map([...(shapes ?? [])].map(([name, shape]) => [name, required(others, name, shape, folder)]))
}

/** Reads every weight of the model, and of the heads named, once. Throws Mistake that names the tensor and the place of the first number that is NaN or infinite. */
export const checkFinite = async (model: ModelFolder, heads: Iterable<readonly [string, ReadonlyArray<number>]>): Promise<void> => {
  for (const entry of [...model.tensors.values(), ...[...heads].flatMap(([name, shape]) => headTensor(model, name, shape) ?? [])]) {
    for await (const { first, chunk } of readChunks(entry)) {
      if (!allFinite(chunk)) {
        const at = chunk.findIndex((x) => !Number.isFinite(x))
        throw inputError(
          entry.file,
          `finite float32 numbers in ${entry.name}`,
          `${chunk[at]} at ${showShape(placeOf(first + at, entry.shape))}`,
        )
      }
    }
  }
}

/** By one sum: 0 times anything else is no number. Asking number by number takes ten times as long. */
const allFinite = (numbers: Float32Array | Float64Array): boolean => {
  let sum = 0
  for (let i = 0; i < numbers.length; i++) sum += 0 * (numbers[i] ?? NaN)
  return sum === 0
}

const openConfigFile = async (folder: string): Promise<ConfigFile> => {
  const kind = await stat(folder).then(
    (found) => (found.isDirectory() ? 'folder' : 'a file'),
    () => 'nothing',
  )
  if (kind !== 'folder') throw inputError(folder, 'a folder in Hugging Face layout', kind)
  const file = await fileInFolder(folder, 'config.json')
  if (file === undefined) throw inputError(folder, 'config.json in the folder', 'none')
  return parseConfigFile(await readText(file, configLimit), file)
}

/** Names without the family's prefix; old checkpoints call a LayerNorm's weight gamma and its bias beta. Position ids and frequencies are not weights. */
const canonicalTensors = (stored: ReadonlyMap<string, TensorEntry>, prefix: string, folder: string): ReadonlyMap<string, TensorEntry> => {
  const canonical = new Map<string, TensorEntry>()
  for (const [name, entry] of stored) {
    const short = (name.startsWith(prefix) ? name.slice(prefix.length) : name)
      .replace(/\bLayerNorm\.gamma$/, 'LayerNorm.weight')
      .replace(/\bLayerNorm\.beta$/, 'LayerNorm.bias')
    if (/^embeddings\.(position|token_type)_ids$|\.rotary_emb\.inv_freq$/.test(short)) continue
    const other = canonical.get(short)
    if (other !== undefined) throw inputError(folder, `one tensor for ${quoted(short)}`, `${quoted(other.name)} and ${quoted(name)}`)
    canonical.set(short, entry)
  }
  return canonical
}

const required = (found: ReadonlyMap<string, TensorEntry>, name: string, shape: ReadonlyArray<number>, folder: string): TensorEntry => {
  const entry = found.get(name)
  if (entry === undefined) throw inputError(folder, `tensor ${name} ${showShape(shape)}`, 'none of that name in the weights')
  if (!sameShape(shape, entry.shape))
    throw inputError(entry.file, `tensor ${entry.name} of shape ${showShape(shape)}`, showShape(entry.shape))
  if (!isReal(entry)) {
    throw inputError(entry.file, `tensor ${entry.name} in F32, F16, BF16 or F64`, entry.dtype)
  }
  return entry
}

const isReal = ({ dtype }: TensorEntry): boolean => ['F32', 'F16', 'BF16', 'F64'].includes(dtype)

/** The hub id of a snapshot in the hub's cache: …/models--OWNER--NAME/snapshots/REVISION. */
export const hubIdOf = async (folder: string): Promise<string | undefined> => {
  const snapshots = dirname(await realpath(folder))
  const model = basename(dirname(snapshots))
  return basename(snapshots) === 'snapshots' && model.startsWith('models--')
    ? model.slice('models--'.length).replaceAll('--', '/')
    : undefined
}

/** The indices of the number at `flat` in a row-major tensor. */
const placeOf = (flat: number, shape: ReadonlyArray<number>): ReadonlyArray<number> =>
  shape.reduceRight<readonly [ReadonlyArray<number>, number]>(
    ([place, rest], side) => [[rest % side, ...place], Math.floor(rest / side)],
    [[], flat],
  )[0]
