/**
 * The cached file of a model whose matrices are in int8. It is made once, tensor by tensor, and its name follows from the digests of the
 * checkpoint's files. A checksum is compared before each use.
 */
import { cacheOf } from '../../checkpoints/hub/hubEnvironment.js'
import { modelDigests } from '../../checkpoints/modelDigests.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { readSafetensors, readTensor, type TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import { headerOf, type Declaration } from '../../checkpoints/safetensors/writeSafetensors.js'
import { inputError } from '../../errors/inputError.js'
import { SystemError } from '../../errors/systemError.js'
import type { Matrix } from '../../models/architecture.js'
import { readText } from '../../storage/boundedJson.js'
import { fileInFolder } from '../../storage/fileInFolder.js'
import { joinPath } from '../../storage/paths.js'
import { fileSha256, sha256 } from '../../storage/sha256.js'
import type { Storage } from '../../storage/storage.js'
import { largeLevels, rowLevels, rowScales, transposedOf } from './quantize.js'

/** Part of the file's name: a change of the layout changes the name. */
const layoutVersion = 2

/** Names of the parts of a quantized matrix. */
export const partsOf = (name: string) => ({ levels: `${name}.levels`, transposed: `${name}.transposed`, scales: `${name}.scales` })

export type QuantizedFile = { readonly folder: string; readonly file: string; readonly tensors: ReadonlyMap<string, TensorEntry> }

/**
 * Finds the file or makes it, which it reports by one line.
 * @param largeFrom bytes of levels from which on matrices are stored in one orientation only
 * @throws InputError if the checkpoint cannot be read or the cache not written
 */
export async function* quantizedFile(
  base: ModelFolder,
  cache: string = cacheOf(process.env),
  largeFrom = largeLevels,
): AsyncGenerator<string, QuantizedFile> {
  const { storage } = base
  const folder = joinPath(cache, 'salora-int8')
  const name = await fileNameOf(base, largeFrom)
  const file = joinPath(folder, name)
  await makeCache(folder, storage)
  const cached = await intactTensors(folder, name, storage)
  if (cached === null) {
    yield `quantizing the matrices of ${base.baseModelName}, once, into ${folder}`
    await write(base, file, largeFrom)
  }
  return { folder, file, tensors: cached ?? (await readSafetensors(file, storage)).tensors }
}

const fileNameOf = async (base: ModelFolder, largeFrom: number): Promise<string> => {
  const { 'tokenizer.json': _, 'tokenizer_config.json': __, ...digests } = await modelDigests(base)
  const digest = sha256()
  digest.update(JSON.stringify([layoutVersion, largeFrom, Object.entries(digests).sort()]))
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

/** The file's tensors; null if it is absent or corrupt. @throws SystemError if it cannot be read */
const intactTensors = async (folder: string, name: string, storage: Storage): Promise<ReadonlyMap<string, TensorEntry> | null> => {
  for (const path of [name, checksumOf(name)])
    if ((await storage.stat(joinPath(folder, path)))?.kind === 'folder')
      throw inputError(joinPath(folder, path), 'a file of the int8 cache', 'a folder, which can be deleted')
  try {
    const file = await fileInFolder(folder, name, storage)
    const checksum = await fileInFolder(folder, checksumOf(name), storage)
    if (file === undefined || checksum === undefined) return null
    if ((await readText(checksum, 1_000, storage)).trim() !== (await fileSha256(file, storage))) return null
    return (await readSafetensors(file, storage)).tensors
  } catch (thrown) {
    if (thrown instanceof SystemError) throw thrown
    return null
  }
}

const checksumOf = (file: string): string => `${file}.sha256`

/** The checksum is written after the last byte and before the file gets its name. Two processes that write at once write the same bytes. */
const write = async (base: ModelFolder, file: string, largeFrom: number): Promise<void> => {
  const { storage } = base
  async function* withChecksum(): AsyncGenerator<Uint8Array> {
    const digest = sha256()
    for await (const chunk of contentOf(base, largeFrom)) {
      digest.update(chunk)
      yield chunk
    }
    await storage.write(checksumOf(file), `${digest.hex()}\n`)
  }
  await storage.write(file, withChecksum())
}

/** Whether matrices are stored in both orientations: only small ones are. */
export const inBothOrientations = (matrices: ReadonlyArray<Matrix>, largeFrom = largeLevels): boolean =>
  matrices.reduce((sum, { d, k }) => sum + d * k, 0) < largeFrom

/** All other tensors in float32, then the scales and levels of each matrix. The checkpoint is read once, a tensor at a time. */
async function* contentOf(base: ModelFolder, largeFrom: number): AsyncGenerator<Uint8Array> {
  const { matrices } = base.model.spec
  const names = new Set(matrices.map(({ name }) => `${name}.weight`))
  const bothOrientations = inBothOrientations(matrices, largeFrom)
  const others = [...base.frozen].filter(([name]) => !names.has(name))
  const quantized = [...base.frozen].filter(([name]) => names.has(name))
  yield headerOf([
    ...others.map(([name, { shape }]) => ({ name, dtype: 'F32' as const, shape })),
    ...quantized.flatMap(([name, { shape }]) => declare(name, shape, bothOrientations)),
  ])
  for (const [, entry] of others) yield bytesOf(await readTensor(entry))
  for (const [, entry] of quantized) yield* quantizedParts(await readTensor(entry), entry.shape, bothOrientations)
}

const declare = (name: string, [rows = 0, columns = 0]: ReadonlyArray<number>, bothOrientations: boolean): ReadonlyArray<Declaration> => {
  const { levels, transposed, scales } = partsOf(name)
  return [
    { name: scales, dtype: 'F32', shape: [rows] },
    { name: levels, dtype: 'I8', shape: [rows, columns] },
    ...(bothOrientations ? [{ name: transposed, dtype: 'I8' as const, shape: [columns, rows] }] : []),
  ]
}

function* quantizedParts(W: Float32Array, shape: ReadonlyArray<number>, bothOrientations: boolean): Generator<Uint8Array> {
  const scales = rowScales(W, shape)
  const levels = rowLevels(W, scales)
  yield bytesOf(scales)
  yield bytesOf(levels)
  if (bothOrientations) yield bytesOf(transposedOf(levels, shape))
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Int8Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength)
