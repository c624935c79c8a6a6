/**
 * A model in Hugging Face layout: its configuration, and where the data of each tensor is, by canonical name. This folder reads models, their
 * tokenizers and the hub, and saves the checkpoints of runs; adapters and exports belong in formats/.
 */
import { z } from 'zod'
import { inputError, quoted, type InputError } from '../errors/inputError.js'
import { memoryLimit } from '../engines/inNode.js'
import { sameShape, showShape } from '../graph/expression.js'
import type { Model, ModelSpec } from '../models/architecture.js'
import { sentenceEncoder } from '../models/layers/classifierHead.js'
import type { ModelOutputs } from '../models/modelOutputs.js'
import { readJson } from '../storage/json.js'
import { readText } from '../storage/text.js'
import { fileInFolder } from '../storage/paths.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import type { Storage } from '../storage/storage.js'
import { parseConfigFile, type ConfigFile } from './configFile.js'
import { namesLimit } from './labelNames.js'
import { findHubId, poolingFile } from './hub/hubRules.js'
import { type TensorEntry, storedShape } from './safetensors/safetensors.js'
import { locateFiles, openWeights, type WeightFiles } from './safetensors/weightFiles.js'
import { elementCount } from './safetensors/safetensorsHeader.js'
import { loadTokenizerOnce, type Tokenizer } from './tokenizer/tokenizer.js'

/** An opened model folder. No weight has been read yet. */
export type ModelFolder = {
  readonly storage: Storage
  readonly folder: string
  readonly model: Model
  /** the outputs of a classifier, as config.json has them */
  readonly outputs: ConfigFile['outputs']
  /** what other tools call the model: its hub id if the folder is in a hub cache or one was given, else the folder */
  readonly baseModelName: string
  /** exactly the tensors of the model's spec, with their shapes, in F32, F16, BF16 or F64 */
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** those tensors, and the frozen ones of a head over the vocabulary that the files have: everything that a run reads and never trains */
  readonly frozen: ReadonlyMap<string, TensorEntry>
  readonly files: WeightFiles
  /** the other floating-point tensors of the files, those of heads among them, by canonical name */
  readonly others: ReadonlyMap<string, TensorEntry>
  /** whether sentence-transformers makes a text's embedding from the mean of its tokens */
  readonly averages: boolean
  /** loaded by the first call, and the same for all who open this model @throws InputError as `loadTokenizer` */
  readonly tokenizer: () => Promise<Tokenizer>
  /** the class names of config.json's id2label, in the order of the outputs; undefined without id2label */
  readonly labelNames: readonly string[] | undefined
  /** tensors that are another file's (replacedTensors.ts): what that has whole, with its names for them */
  readonly whole?: WholeModules
  /** the tokens that `storage` and `model` have beyond those of the files, their first id, and the folder as its files are */
  readonly added?: { readonly tokens: readonly string[]; readonly from: number; readonly plain: ModelFolder }
}

/** The modules that an adapter's configuration calls saved, and the tensors of its file by key: those of the modules, and tables of words that it has beside their updates. */
export type WholeModules = { readonly modules: readonly string[]; readonly tensors: ReadonlyMap<string, TensorEntry> }

export type OpenOptions = {
  /** replaces the name that the folder suggests */
  readonly baseModelName?: string
  /** the bytes that the weights may take (default: all that this process may use) */
  readonly memory?: number
  readonly storage?: Storage
}

/** Opens a folder and checks its configuration and the names, shapes and types of its tensors. Weights stay on disk. @throws InputError */
export const openModelFolder = async (folder: string, options: OpenOptions = {}): Promise<ModelFolder> => {
  const { storage = nodeFiles } = options
  const config = await openConfigFile(folder, storage)
  const { outputs, labelNames } = config
  const averages = await averagesTokens(folder, config.model, storage)
  const model = modelIn(config, averages)
  const stored = canonicalTensors(await openWeights(folder, storage), model, folder)
  const tensors = new Map([...model.spec.tensors].map(([name, shape]) => [name, requiredTensor(stored, name, shape, folder)]))
  const others = new Map([...stored].filter(([name, entry]) => !tensors.has(name) && isReal(entry)))
  const frozen = new Map([...tensors, ...frozenHeadTensors(model, others)])
  checkLeastMemory(model.spec, frozen, folder, options.memory ?? memoryLimit())
  checkNoExtraTensors(model, stored, tensors)
  return {
    storage,
    folder,
    model,
    outputs,
    tensors,
    frozen,
    files: await locateFiles(folder, new Set([...frozen.values()].map(({ file }) => file)), storage),
    others,
    averages,
    tokenizer: loadTokenizerOnce({ folder, model, storage }),
    labelNames,
    baseModelName: options.baseModelName ?? (await findHubId(folder, storage)) ?? folder,
  }
}

/** The model of a configuration. One with a classifier on the mean of its tokens is an export of ours. */
export const modelIn = ({ model, isBare, outputs }: ConfigFile, averages: boolean): Model =>
  averages && isBare && outputs.head === 'sequence' ? sentenceEncoder(model) : model

/** The entry of a head's tensor if the folder has it with this shape. */
export const headTensor = ({ others }: Pick<ModelFolder, 'others'>, name: string, shape: readonly number[]): TensorEntry | undefined => {
  const entry = others.get(name)
  return entry !== undefined && sameShape(shape, entry.shape) ? entry : undefined
}

/** The head's own tensors over the vocabulary, if the outputs are next tokens. @throws InputError if one is missing */
export const frozenHead = ({ model, others, folder }: ModelFolder, { head }: ModelOutputs): ReadonlyMap<string, TensorEntry> => {
  const shapes = head === 'causal' ? model.causalHead?.().frozen : undefined
  return new Map([...(shapes ?? [])].map(([name, shape]) => [name, requiredTensor(others, name, shape, folder)]))
}

export const frozenHeadTensors = (model: Model, others: ReadonlyMap<string, TensorEntry>): readonly (readonly [string, TensorEntry])[] =>
  [...(model.causalHead?.().frozen ?? [])].flatMap(([name, shape]) => {
    const entry = headTensor({ others }, name, shape)
    return entry === undefined ? [] : [[name, entry] as const]
  })

/** A tensor of the encoder or decoder beyond its spec means that config.json describes another model. */
const checkNoExtraTensors = (
  { spec }: Model,
  stored: ReadonlyMap<string, TensorEntry>,
  tensors: ReadonlyMap<string, TensorEntry>,
): void => {
  const modules = new Set([...tensors.keys()].map(firstPart))
  const stray = [...stored].find(([name]) => !tensors.has(name) && modules.has(firstPart(name)))
  if (stray === undefined) return
  const [, { file, name }] = stray
  throw inputError(file, `no tensor of the ${spec.kind} beyond those of config.json (${spec.layers.length} layers)`, quoted(name))
}

const firstPart = (name: string): string => name.split('.')[0] ?? ''

const openConfigFile = async (folder: string, storage: Storage): Promise<ConfigFile> => {
  const info = await storage.stat(folder)
  if (info?.kind !== 'folder') throw inputError(folder, 'a folder in Hugging Face layout', info === null ? 'nothing' : 'a file')
  const file = await fileInFolder(folder, 'config.json', storage)
  if (file === undefined) throw inputError(folder, 'config.json in the folder', 'none')
  return parseConfigFile(await readText(file, namesLimit, storage), file)
}

const poolingSchema = z.looseObject({ pooling_mode_mean_tokens: z.boolean().optional() })

/** Whether the folder is a sentence encoder's whose embeddings are means. Other ways of pooling are not read. @throws InputError */
const averagesTokens = async (folder: string, { spec }: Model, storage: Storage): Promise<boolean> => {
  if (spec.kind !== 'encoder') return false
  const modes = await readJson(folder, poolingFile, poolingSchema, 'the pooling of a sentence encoder', namesLimit, storage)
  if (modes === null) return false
  const chosen = Object.entries(modes).filter(([name, value]) => name.startsWith('pooling_mode_') && value === true)
  return modes.pooling_mode_mean_tokens === true && chosen.length === 1
}

/** Canonical tensor names: those of the files without the family's prefix, and without the names of old checkpoints. */
type Tensors = ReadonlyMap<string, TensorEntry>

type Layout = Pick<Model, 'naming' | 'transposed' | 'ignored'>

/**
 * The tensors of a model's files without the buffers that the model ignores. Old checkpoints call a LayerNorm's weight gamma and its bias beta.
 * @throws InputError if two tensors have one canonical name
 */
const canonicalTensors = (stored: Tensors, { naming, transposed, ignored }: Layout, folder: string): Tensors => {
  const canonical = new Map<string, TensorEntry>()
  for (const [name, entry] of stored) {
    const short = (name.startsWith(naming.prefix) ? name.slice(naming.prefix.length) : name)
      .replace(/\bLayerNorm\.gamma$/, 'LayerNorm.weight')
      .replace(/\bLayerNorm\.beta$/, 'LayerNorm.bias')
    if (ignored?.(short) === true) continue
    const other = canonical.get(short)
    if (other !== undefined) throw inputError(folder, `one tensor for ${quoted(short)}`, `${quoted(other.name)} and ${quoted(name)}`)
    canonical.set(short, transposed?.(short) === true ? { ...entry, shape: entry.shape.toReversed(), transposed: true } : entry)
  }
  return canonical
}

/** The tensor of this name and shape. @throws InputError if it is missing, of another shape, or of integers */
const requiredTensor = (tensors: Tensors, name: string, shape: readonly number[], folder: string): TensorEntry => {
  const entry = tensors.get(name)
  if (entry === undefined) throw inputError(folder, `tensor ${name} ${showShape(shape)}`, 'none of that name in the weights')
  if (!sameShape(shape, entry.shape)) {
    const expected = storedShape({ ...entry, shape })
    throw inputError(entry.file, `tensor ${entry.name} of shape ${showShape(expected)}`, showShape(storedShape(entry)))
  }
  if (!isReal(entry)) throw inputError(entry.file, `tensor ${entry.name} in F32, F16, BF16 or F64`, entry.dtype)
  return entry
}

const isReal = ({ dtype }: TensorEntry): boolean => ['F32', 'F16', 'BF16', 'F64'].includes(dtype)

/** Runs before a number is read. No precision takes less than one byte per number; precisions/index.ts knows what each one takes. @throws InputError */
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
