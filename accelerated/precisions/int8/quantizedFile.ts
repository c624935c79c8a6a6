/**
 * The cached file of a model whose matrices are in int8 or int4, and the weights in it. It is made once, tensor by tensor, and its name follows from
 * the digests of the checkpoint's files. A checksum is compared before each use.
 */
import { locateCache } from '../../storage/nodeFiles.js'
import { modelDigests } from '../../checkpoints/fingerprint.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { readSafetensors, readTensor, type TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import { encodeHeader, type Declaration } from '../../checkpoints/safetensors/writeSafetensors.js'
import { inputError } from '../../errors/inputError.js'
import { SystemError } from '../../errors/systemError.js'
import { readText } from '../../storage/text.js'
import { fileInFolder, joinPath } from '../../storage/paths.js'
import { fileSha256 } from '../../storage/digests.js'
import { sha256 } from '../../storage/native.js'
import type { Expression, DType } from '../../graph/expression.js'
import type { TensorSource } from '../../models/host.js'
import type { Storage } from '../../storage/storage.js'
import { weightSource } from '../../checkpoints/frozenWeights.js'
import { locateFiles } from '../../checkpoints/safetensors/weightFiles.js'
import { weight } from '../../graph/operators.js'
import type { Frozen } from '../precision.js'

/** Which matrices are quantized, and how. */
export type MatrixLayout = {
  /** names the folder in the cache */
  readonly precision: 'int8' | 'int4'
  /** part of the file's name: with another layout, the file has another name */
  readonly version: readonly (string | number)[]
  /** names of tensors */
  readonly matrices: ReadonlySet<string>
  readonly declare: (name: string, shape: readonly number[]) => readonly Declaration[]
  /** as declared. W: row-major */
  readonly parts: (W: Float32Array, shape: readonly number[], name: string) => Iterable<Float32Array | Int8Array | Uint8Array>
  /** The matrix of its parts: `stored` gives one by name. */
  readonly matrix: (name: string, shape: readonly number[], stored: TensorSource) => Expression
}

export type QuantizedFile = {
  readonly folder: string
  readonly file: string
  /** of its bytes, SHA-256 in hexadecimal */
  readonly digest: string
  readonly tensors: ReadonlyMap<string, TensorEntry>
}

/**
 * Finds the file or makes it, which it reports by one line.
 * @throws InputError if the checkpoint cannot be read or the cache not written
 */
export async function* quantizedFile(
  base: ModelFolder,
  layout: MatrixLayout,
  cache: string = locateCache(),
): AsyncGenerator<string, QuantizedFile> {
  const { storage } = base
  const folder = joinPath(cache, `salora-${layout.precision}`)
  const name = await buildFileName(base, layout)
  const file = joinPath(folder, name)
  await makeCache(folder, storage)
  const cached = await intactFile(folder, name, storage, layout)
  if (cached !== null) return { folder, file, ...cached }
  yield `quantizing the matrices of ${base.baseModelName}, once, into ${folder}`
  const digest = await write(base, file, layout)
  return { folder, file, digest, tensors: (await readSafetensors(file, storage)).tensors }
}

const buildFileName = async (base: ModelFolder, { version }: MatrixLayout): Promise<string> => {
  const { 'tokenizer.json': _, 'tokenizer_config.json': __, ...digests } = await modelDigests(base)
  const digest = sha256()
  digest.update(JSON.stringify([...version, Object.entries(digests).sort()]))
  return `${digest.hex()}.safetensors`
}

const makeCache = async (folder: string, storage: Storage): Promise<void> => {
  try {
    await storage.makeFolder(folder, { recursive: true })
  } catch (thrown) {
    if (!(thrown instanceof SystemError)) throw thrown
    throw new SystemError(folder, 'a cache that can be written (SALORA_CACHE names another)', thrown.got, thrown.code)
  }
}

/** The file's digest and tensors; null if it is absent or corrupt. @throws SystemError if it cannot be read */
const intactFile = async (
  folder: string,
  name: string,
  storage: Storage,
  { precision }: Pick<MatrixLayout, 'precision'>,
): Promise<Pick<QuantizedFile, 'digest' | 'tensors'> | null> => {
  for (const path of [name, checksumFile(name)])
    if ((await storage.stat(joinPath(folder, path)))?.kind === 'folder')
      throw inputError(joinPath(folder, path), `a file of the ${precision} cache`, 'a folder, which can be deleted')
  try {
    const file = await fileInFolder(folder, name, storage)
    const checksum = await fileInFolder(folder, checksumFile(name), storage)
    if (file === undefined || checksum === undefined) return null
    const digest = await fileSha256(file, storage)
    if ((await readText(checksum, 1_000, storage)).trim() !== digest) return null
    return { digest, tensors: (await readSafetensors(file, storage)).tensors }
  } catch (thrown) {
    if (thrown instanceof SystemError) throw thrown
    return null
  }
}

const checksumFile = (file: string): string => `${file}.sha256`

/**
 * Writes the file; its digest. The checksum is written after the last byte and before the file gets its name. Two processes that write at once
 * write the same bytes.
 */
const write = async (base: ModelFolder, file: string, layout: MatrixLayout): Promise<string> => {
  const { storage } = base
  let hex = ''
  async function* withChecksum(): AsyncGenerator<Uint8Array> {
    const digest = sha256()
    for await (const chunk of writeContent(base, layout)) {
      digest.update(chunk)
      yield chunk
    }
    hex = digest.hex()
    await storage.write(checksumFile(file), `${hex}\n`)
  }
  await storage.write(file, withChecksum())
  return hex
}

/** All other tensors in float32, then the parts of each matrix. The checkpoint is read once, a tensor at a time. */
async function* writeContent(base: ModelFolder, layout: MatrixLayout): AsyncGenerator<Uint8Array> {
  const { others, quantized } = dividedTensors(base, layout)
  yield encodeHeader(declareTensors(base, layout))
  for (const [, entry] of others) yield toBytes(await readTensor(entry))
  for (const [name, entry] of quantized) for (const part of layout.parts(await readTensor(entry), entry.shape, name)) yield toBytes(part)
}

type Divided = Record<'others' | 'quantized', readonly (readonly [string, TensorEntry])[]>

const dividedTensors = ({ frozen }: Pick<ModelFolder, 'frozen'>, { matrices }: MatrixLayout): Divided => ({
  others: [...frozen].filter(([name]) => !matrices.has(name)),
  quantized: [...frozen].filter(([name]) => matrices.has(name)),
})

/** The tensors of the file, in its order. */
export const declareTensors = (base: Pick<ModelFolder, 'frozen'>, layout: MatrixLayout): readonly Declaration[] => {
  const { others, quantized } = dividedTensors(base, layout)
  return [
    ...others.map(([name, { shape }]) => ({ name, dtype: 'F32' as const, shape })),
    ...quantized.flatMap(([name, { shape }]) => layout.declare(name, shape)),
  ]
}

const toBytes = ({ buffer, byteOffset, byteLength }: Float32Array | Int8Array | Uint8Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

const dtypes: Readonly<Record<string, DType>> = { F32: 'float32', I8: 'int8', U8: 'uint8' }

/** Yields a line if the file must be made. @throws InputError */
export async function* openQuantized(base: ModelFolder, layout: MatrixLayout, cache?: string): AsyncGenerator<string, Frozen> {
  const { folder, file, digest, tensors } = yield* quantizedFile(base, layout, cache)
  const files = { ...(await locateFiles(folder, [file], base.storage)), digests: new Map([[file, digest]]) }
  const location = files.locations.get(file) ?? file
  const stored: TensorSource = (name) => {
    const entry = tensors.get(name)
    if (entry === undefined) throw new Error(`${layout.precision}: expected a tensor of the model, got ${name}`)
    return weight(name, entry.shape, dtypes[entry.dtype] ?? 'float32', { location, offset: entry.offset, length: entry.length })
  }
  return { weights: weightSource({ files }), tensor: makeTensorSource(base, layout, stored) }
}

/** Tensors of the same shapes and types that are in no file. */
export const quantizedPlaceholders = (base: ModelFolder, layout: MatrixLayout): TensorSource => {
  const declared = new Map(declareTensors(base, layout).map((declaration) => [declaration.name, declaration]))
  return makeTensorSource(base, layout, (name) => {
    const { shape, dtype } = declared.get(name) ?? { shape: [], dtype: 'F32' }
    const length = shape.reduce((a, b) => a * b, dtype === 'F32' ? 4 : 1)
    return weight(name, shape, dtypes[dtype] ?? 'float32', { location: '', offset: 0, length })
  })
}

/** One expression per name: graphs share their subexpressions by identity. */
const makeTensorSource = (
  { frozen }: Pick<ModelFolder, 'frozen'>,
  { matrices, matrix }: MatrixLayout,
  stored: TensorSource,
): TensorSource => {
  const known = memoized(stored)
  return memoized((name) => (matrices.has(name) ? matrix(name, frozen.get(name)?.shape ?? [], known) : known(name)))
}

const memoized = (tensor: TensorSource): TensorSource => {
  const made = new Map<string, ReturnType<TensorSource>>()
  return (name) => {
    const expression = made.get(name) ?? tensor(name)
    made.set(name, expression)
    return expression
  }
}
