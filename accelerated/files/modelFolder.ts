/** A model in Hugging Face layout: its configuration, and where each of its tensors lies, by canonical name. */
import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import {
  baseTensorShapes,
  encoderConfigOf,
  headTensorShapes,
  outputsOf,
  type EncoderConfig,
  type Outputs,
} from '../models/encoderConfig.js'
import { configLimit, parseConfigFile, type ConfigFile } from './configFile.js'
import { fileError, quoted } from './fileError.js'
import { readText } from './jsonText.js'
import { readChunks } from './safetensors/safetensors.js'
import { showShape, type TensorEntry } from './safetensors/safetensorsHeader.js'
import { fileInFolder, openWeights } from './safetensors/weightFiles.js'

/** An opened model folder. No weight has been read: an entry says where its numbers lie. */
export type ModelFolder = {
  readonly folder: string
  readonly config: EncoderConfig
  /** What other tools call the model: the hub id if the folder is in a hub cache or was given one, else the folder. */
  readonly baseModelName: string
  /** The encoder's tensors: exactly the keys of baseTensorShapes(config), with those shapes, in F32, F16, BF16 or F64. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** Those of headTensorShapes(config) that the folder has in the right shape (BERT's pooler, say); the others start untrained. */
  readonly headTensors: ReadonlyMap<string, TensorEntry>
  /** 'present' when headTensors is complete, so that the model classifies as it is. */
  readonly head: 'present' | 'absent'
  /** The names of config.json's id2label in the order of the outputs; undefined if it has none. */
  readonly labelNames: ReadonlyArray<string> | undefined
  /** Tensors in the files that nothing here uses (a language-model head, say), by their names there. */
  readonly ignored: ReadonlyArray<string>
}

/** `outputs` replaces what config.json says of labels and problem; `baseModelName` what the folder suggests. */
export type OpenOptions = { readonly outputs?: Outputs; readonly baseModelName?: string }

/** Opens a folder and checks configuration, tensor names, shapes and types; weights stay on disk. Throws FileError. */
export const openModelFolder = async (folder: string, options: OpenOptions = {}): Promise<ModelFolder> => {
  const file = await openConfigFile(folder)
  if (options.outputs === undefined && file.problem_type === 'multi_label_classification') {
    throw fileError(join(folder, 'config.json'), 'problem_type single_label_classification or regression', file.problem_type)
  }
  const config = encoderConfigOf(file, options.outputs ?? outputsOf(file))
  const found = canonicalTensors(await openWeights(folder), config.family, folder)
  const tensors = new Map([...baseTensorShapes(config)].map(([name, shape]) => [name, required(found, name, shape, folder)]))
  const shapes = headTensorShapes(config)
  const headTensors = new Map([...found].filter(([name, entry]) => sameShape(shapes.get(name), entry.shape) && isReal(entry)))
  const stray = [...found].find(([name]) => /^(encoder|embeddings)\./.test(name) && !tensors.has(name))
  if (stray !== undefined) {
    throw fileError(stray[1].file, `no encoder tensor beyond those of config.json (${config.layers} layers)`, quoted(stray[1].name))
  }
  return {
    folder,
    config,
    baseModelName: options.baseModelName ?? (await hubIdOf(folder)) ?? folder,
    tensors,
    headTensors,
    head: headTensors.size === shapes.size ? 'present' : 'absent',
    labelNames: labelNamesOf(file, folder),
    ignored: [...found].filter(([name]) => !tensors.has(name) && !headTensors.has(name)).map(([, entry]) => entry.name),
  }
}

/** Reads every weight once. Throws FileError that names the tensor and the place of the first number that is NaN or infinite. */
export const checkFinite = async (model: ModelFolder): Promise<void> => {
  for (const entry of [...model.tensors.values(), ...model.headTensors.values()]) {
    for await (const { first, chunk } of readChunks(entry)) {
      const at = chunk.findIndex((x) => !Number.isFinite(x))
      if (at >= 0) {
        throw fileError(
          entry.file,
          `finite float32 numbers in ${entry.name}`,
          `${chunk[at]} at ${showShape(placeOf(first + at, entry.shape))}`,
        )
      }
    }
  }
}

const openConfigFile = async (folder: string): Promise<ConfigFile> => {
  const kind = await stat(folder).then(
    (found) => (found.isDirectory() ? 'folder' : 'a file'),
    () => 'nothing',
  )
  if (kind !== 'folder') throw fileError(folder, 'a folder in Hugging Face layout', kind)
  const file = await fileInFolder(folder, 'config.json')
  if (file === undefined) throw fileError(folder, 'config.json in the folder', 'none')
  return parseConfigFile(await readText(file, configLimit), file)
}

/** Names without the family's prefix; old checkpoints call a LayerNorm's weight gamma and its bias beta. Position ids are not weights. */
const canonicalTensors = (stored: ReadonlyMap<string, TensorEntry>, family: string, folder: string): ReadonlyMap<string, TensorEntry> => {
  const canonical = new Map<string, TensorEntry>()
  for (const [name, entry] of stored) {
    const short = name
      .replace(new RegExp(`^${family}\\.`), '')
      .replace(/\bLayerNorm\.gamma$/, 'LayerNorm.weight')
      .replace(/\bLayerNorm\.beta$/, 'LayerNorm.bias')
    if (short === 'embeddings.position_ids' || short === 'embeddings.token_type_ids') continue
    const other = canonical.get(short)
    if (other !== undefined) throw fileError(folder, `one tensor for ${quoted(short)}`, `${quoted(other.name)} and ${quoted(name)}`)
    canonical.set(short, entry)
  }
  return canonical
}

const required = (found: ReadonlyMap<string, TensorEntry>, name: string, shape: ReadonlyArray<number>, folder: string): TensorEntry => {
  const entry = found.get(name)
  if (entry === undefined) throw fileError(folder, `tensor ${name} ${showShape(shape)}`, 'none of that name in the weights')
  if (!sameShape(shape, entry.shape))
    throw fileError(entry.file, `tensor ${entry.name} of shape ${showShape(shape)}`, showShape(entry.shape))
  if (!isReal(entry)) {
    throw fileError(entry.file, `tensor ${entry.name} in F32, F16, BF16 or F64`, entry.dtype)
  }
  return entry
}

const isReal = ({ dtype }: TensorEntry): boolean => ['F32', 'F16', 'BF16', 'F64'].includes(dtype)

const sameShape = (a: ReadonlyArray<number> | undefined, b: ReadonlyArray<number>): boolean =>
  a !== undefined && a.length === b.length && a.every((side, i) => side === b[i])

const labelNamesOf = ({ id2label }: ConfigFile, folder: string): ReadonlyArray<string> | undefined => {
  if (id2label === undefined) return undefined
  return Object.keys(id2label).map((_, id) => {
    const name = id2label[String(id)]
    if (name === undefined)
      throw fileError(join(folder, 'config.json'), `id2label with the keys 0 to ${Object.keys(id2label).length - 1}`, `no key ${id}`)
    return name
  })
}

/** The hub id of a snapshot in the hub's cache: …/models--OWNER--NAME/snapshots/REVISION. */
const hubIdOf = async (folder: string): Promise<string | undefined> => {
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
