/** A decoder in GGUF as a folder in Hugging Face layout, quantized numbers as float32: converted once, and kept in the cache under the file's digest. */
import { factorTensors, type GgufFamily } from '../../models/gguf.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath } from '../../storage/paths.js'
import { withFile, type Storage, type OpenFile } from '../../storage/storage.js'
import { markUsed, removeUnused } from '../../storage/folders.js'
import { findStoredSha256, storedSha256 } from '../../storage/digests.js'
import { parseConfigFile } from '../configFile.js'
import { dequantize, tensorTypes } from './ggufTypes.js'
import { type GgufHeader, type GgufValue, readGguf, type GgufEntry } from './ggufHeader.js'
import { ggufTokenizer } from './ggufTokenizerJson.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { nearest } from '../../errors/nearest.js'
import { option, words } from '../../errors/words.js'
import { architectures } from '../../models/index.js'
import { sameShape, showShape } from '../../graph/expression.js'
import type { Model, TensorShape } from '../../models/architecture.js'
import { transposedMatrix } from '../safetensors/safetensors.js'
import { layOut } from '../safetensors/writeSafetensors.js'
import type { StoredType } from '../safetensors/safetensorsHeader.js'
import { ggufName, ggufOffset, permutedHeads, separateHeads } from './decoderNames.js'

/** The version of the written files: a later one converts again. */
const layout = 1

/** → the folder. config.json is written last: without it, the folder is incomplete, and is written again. @throws InputError */
export const convertedModel = async (file: string, cache: string): Promise<string> => {
  const digests = joinPath(cache, 'salora-digests')
  const toConvertedFolder = (digest: string): string => joinPath(cache, 'salora-gguf', `${digest.slice(0, 32)}-${layout}`)
  const known = await findStoredSha256(file, digests)
  if (known !== null && (await isComplete(toConvertedFolder(known)))) return used(toConvertedFolder(known)) // its header needs no second reading
  const header = await readGguf(file) // before the whole file is read for its digest
  const { config, tokenizer, settings } = await buildSmallFiles(header, file, nodeFiles)
  const { model } = parseConfigFile(config, file)
  const folder = toConvertedFolder(await storedSha256(file, digests))
  if (await isComplete(folder)) return used(folder)
  await removeUnused(joinPath(cache, 'salora-gguf'), /^[0-9a-f]{32}-\d+$/)
  await nodeFiles.makeFolder(folder, { recursive: true })
  await markUsed(folder)
  await convertWeights(header, model, file, { path: joinPath(folder, 'model.safetensors'), storage: nodeFiles }, nodeFiles)
  await nodeFiles.write(joinPath(folder, 'tokenizer.json'), tokenizer)
  await nodeFiles.write(joinPath(folder, 'tokenizer_config.json'), settings)
  await nodeFiles.write(joinPath(folder, 'config.json'), config)
  return folder
}

const isComplete = async (folder: string): Promise<boolean> => (await nodeFiles.stat(joinPath(folder, 'config.json'))) !== null

const used = async (folder: string): Promise<string> => {
  await markUsed(folder)
  return folder
}

/** The texts of the small files. @throws InputError */
const buildSmallFiles = async (
  header: GgufHeader,
  file: string,
  storage: Storage,
): Promise<Readonly<Record<'config' | 'tokenizer' | 'settings', string>>> => {
  const factors = new Map<string, Float32Array>()
  for (const name of factorTensors) {
    const entry = header.tensors.get(name)
    if (entry === undefined) continue
    const numbers = await withFile(storage, file, async ({ read }) => Uint8Array.from(await read(entry.offset, entry.length)))
    factors.set(name, dequantize(entry.type, numbers))
  }
  const { tokenizer, settings } = ggufTokenizer(header, file)
  return { config: text(ggufConfig(header, factors, file)), tokenizer: JSON.stringify(tokenizer), settings: text(settings) }
}

const text = (value: object): string => `${JSON.stringify(value, null, 2)}\n`

// config.json of a decoder in GGUF, from the keys of its header and the names of its tensors.
/** The numbers of its `factorTensors`, by name. */
type Factors = ReadonlyMap<string, Float32Array>

/** @throws InputError for another architecture, and for what is missing */
export const ggufConfig = ({ keys, tensors }: GgufHeader, factors: Factors, file: string): object => {
  const { architecture, read } = findFamily(keys, file)
  const number = (key: string): number | undefined => readNumber(keys, `${architecture}.${key}`, file)
  const required = (key: string): number => {
    const value = number(key)
    if (value === undefined) throw inputError(file, `the key ${architecture}.${key}`, 'none')
    return value
  }
  const text = (key: string): string | undefined => {
    const value = keys.get(`${architecture}.${key}`)
    return value === undefined ? undefined : String(value)
  }
  const has = (tensor: string): boolean => tensors.has(tensor)
  const {
    architectures: classes,
    model_type: type,
    ...sizes
  } = read({ file, architecture, number, required, text, has, factors: (tensor) => factors.get(tensor) })
  return {
    architectures: classes,
    model_type: type,
    vocab_size: tensors.get('token_embd.weight')?.shape[0] ?? 0,
    ...sizes,
    tie_word_embeddings: !has('output.weight'),
    ...specialIds(keys, file),
    torch_dtype: 'float32',
  }
}

type Reader = Pick<GgufFamily, 'architecture'> & { readonly read: NonNullable<GgufFamily['read']> }

const readers: readonly Reader[] = architectures.flatMap(({ gguf }) =>
  gguf?.read == null ? [] : [{ architecture: gguf.architecture, read: gguf.read }],
)

const findFamily = (keys: GgufHeader['keys'], file: string): Reader => {
  if (keys.get('general.type') === 'adapter')
    throw inputError(file, 'a model in GGUF', words`an adapter (it goes into ${option('adapter')}, as the folder of adapter.gguf)`)
  const architecture = String(keys.get('general.architecture'))
  const reader = readers.find((one) => one.architecture === architecture)
  if (reader === undefined) {
    const names = readers.map((one) => one.architecture)
    const near = nearest(architecture, names)
    const remark = near === null ? '' : ` (${quoted(near)} is the nearest)`
    throw inputError(file, `a model of architecture ${names.join(', ')}${remark}`, quoted(architecture))
  }
  const parts = readNumber(keys, 'split.count', file) ?? 1
  if (parts > 1) throw inputError(file, 'a whole model in one file (llama-gguf-split --merge makes one)', `one of ${parts} parts`)
  return reader
}

/** @throws InputError for a value of another type, such as a list with a number for each layer */
const readNumber = (keys: GgufHeader['keys'], key: string, file: string): number | undefined => {
  const value: GgufValue | undefined = keys.get(key)
  if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value)))
    throw inputError(file, `a number in the key ${key}`, 'something else')
  return value
}

/** The tokens that end a text, the usual one first. */
const specialIds = (keys: GgufHeader['keys'], file: string): object => {
  const id = (name: string): number | undefined => readNumber(keys, `tokenizer.ggml.${name}_token_id`, file)
  const ends = [id('eos'), id('eot'), id('eom')].filter((end) => end !== undefined)
  const [bos, pad] = [id('bos'), id('padding')]
  return {
    ...(ends.length === 0 ? {} : { eos_token_id: ends.length === 1 ? ends[0] : [...new Set(ends)] }),
    ...(bos === undefined ? {} : { bos_token_id: bos }),
    ...(pad === undefined ? {} : { pad_token_id: pad }),
  }
}

type Converted = {
  readonly name: string
  readonly entry: GgufEntry
  readonly dtype: StoredType
  readonly headSize: number | null
  /** whether the family's files have it as [in, out] */
  readonly isTransposed: boolean
  /** what the file adds to each number */
  readonly offset: number
}

/** Writes `target`. @throws InputError if a tensor of the model is missing or of another shape, or if there are others */
export const convertWeights = async (
  { tensors }: GgufHeader,
  model: Model,
  file: string,
  target: { readonly path: string; readonly storage: Storage },
  storage: Storage,
): Promise<void> => {
  const shapes = new Map([...model.spec.tensors, ...(model.causalHead?.().frozen ?? [])])
  const converted = new Map(
    [...shapes].map(([name, shape]) => [model.naming.stored(name), convertedTensor(tensors, model, name, shape, file)]),
  )
  const known = new Set<string>([...factorTensors, ...[...converted.values()].map(({ entry }) => entry.name)])
  const stray = [...tensors.keys()].find((name) => !known.has(name))
  if (stray !== undefined) throw inputError(file, `only tensors of a model of type ${model.type}`, quoted(stray))
  const declared = [...converted].map(([name, { entry, dtype, isTransposed }]) => ({
    ...{ name, dtype, shape: isTransposed ? entry.shape.toReversed() : entry.shape },
  }))
  const { header, order } = layOut(declared, { format: 'pt' })
  await withFile(storage, file, async (open) => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield header
      for (const name of order) yield* pieces(open, converted.get(name)!)
    }
    await target.storage.write(target.path, chunks())
  })
}

const convertedTensor = (tensors: GgufHeader['tensors'], model: Model, name: string, shape: TensorShape, file: string): Converted => {
  const own = ggufName(name, model)
  const entry = tensors.get(own)
  if (entry === undefined) throw inputError(file, `tensor ${own} ${showShape(shape)}`, 'none of that name')
  if (!sameShape(shape, entry.shape)) throw inputError(file, `tensor ${entry.name} of shape ${showShape(shape)}`, showShape(entry.shape))
  const dtype = entry.type === 'F16' || entry.type === 'BF16' ? entry.type : 'F32'
  const [isTransposed, offset] = [model.transposed?.(name) === true, ggufOffset(model, name)]
  return {
    ...{ name, entry, isTransposed, offset, dtype: isTransposed || offset !== 0 ? ('F32' as const) : dtype },
    headSize: permutedHeads(model, name.replace(/\.(weight|bias)$/, '')),
  }
}

const pieceBytes = 1 << 22

/** Whole heads at a time: rows move within their head. A matrix that is transposed is read as a whole. */
async function* pieces({ read }: OpenFile, { entry, dtype, headSize, isTransposed, offset: added }: Converted): AsyncGenerator<Uint8Array> {
  const { type, shape, offset, length } = entry
  if (added !== 0) {
    const numbers = dequantize(type, Uint8Array.from(await read(offset, length)))
    yield new Uint8Array(numbers.map((x) => x - added).buffer)
    return
  }
  if (isTransposed) {
    const numbers = dequantize(type, Uint8Array.from(await read(offset, length)))
    yield new Uint8Array(transposedMatrix(numbers, shape).buffer)
    return
  }
  const rows = shape.length === 1 && headSize === null ? 1 : (shape[0] ?? 1)
  const rowBytes = length / rows
  const unit = headSize === null ? tensorTypes[type].bytes : rowBytes * headSize
  const step = Math.max(1, Math.floor(pieceBytes / unit)) * unit
  for (let at = 0; at < length; at += step) {
    const stored = Uint8Array.from(await read(offset + at, Math.min(step, length - at)))
    const bytes = headSize === null ? stored : separateHeads(stored, rowBytes, headSize)
    if (dtype !== 'F32' || type === 'F32') yield bytes
    else yield new Uint8Array(dequantize(type, bytes).buffer)
  }
}
