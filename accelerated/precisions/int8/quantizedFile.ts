/**
 * The model's weights with its matrices in int8, in a file of the cache: made once, tensor by tensor from the checkpoint, and found again by
 * what the checkpoint's files are. Its bytes are whole or absent, and compared with their checksum before they are used.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { fileSha256 } from '../../storage/sha256.js'
import { cacheOf } from '../../checkpoints/hub/hubEnvironment.js'
import { readText } from '../../storage/boundedJson.js'
import { makeFolder } from '../../storage/makeFolder.js'
import { modelDigests } from '../../checkpoints/modelDigests.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { readSafetensors, readTensor, type TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import { fileInFolder } from '../../storage/fileInFolder.js'
import { headerOf, type Declaration } from '../../checkpoints/safetensors/writeSafetensors.js'
import { SystemError, systemInputError } from '../../errors/systemError.js'
import type { Matrix } from '../../models/architecture.js'
import { largeLevels, rowLevels, rowScales, transposedOf } from './quantize.js'

/** The layout of the file: another one has another name. */
const layoutVersion = 2

/** Names of the parts of a quantized matrix. */
export const partsOf = (name: string) => ({ levels: `${name}.levels`, transposed: `${name}.transposed`, scales: `${name}.scales` })

export type QuantizedFile = { readonly folder: string; readonly file: string; readonly tensors: ReadonlyMap<string, TensorEntry> }

/** The file's folder and its tensors by name. Yields a line when it has to be made. @throws Mistake where it cannot be */
export async function* quantizedFile(
  base: ModelFolder,
  cache: string = cacheOf(process.env),
  turnedFrom = largeLevels,
): AsyncGenerator<string, QuantizedFile> {
  const folder = join(cache, 'salora-int8')
  const { 'tokenizer.json': _, 'tokenizer_config.json': __, ...digests } = await modelDigests(base)
  const name = `${createHash('sha256')
    .update(JSON.stringify([layoutVersion, turnedFrom, Object.entries(digests).sort()]))
    .digest('hex')}.safetensors`
  const file = join(folder, name)
  await makeFolder(folder).catch((thrown: unknown) => {
    throw systemInputError(folder, 'a cache that can be written (SALORA_CACHE names another)', thrown)
  })
  const there = await wholeFile(folder, name)
  if (there === null) {
    yield `quantizing the matrices of ${base.baseModelName}, once, into ${folder}`
    await write(base, file, turnedFrom)
  }
  const tensors = there ?? (await readSafetensors(file)).tensors
  return { folder, file, tensors }
}

/** Its tensors; null where it is not there or not what was written. A file that cannot be read is another matter: @throws SystemError */
const wholeFile = async (folder: string, name: string): Promise<ReadonlyMap<string, TensorEntry> | null> => {
  try {
    const [file, checksum] = [await fileInFolder(folder, name), await fileInFolder(folder, checksumOf(name))]
    if (file === undefined || checksum === undefined) return null
    if ((await readText(checksum, 1_000)).trim() !== (await fileSha256(file))) return null
    return (await readSafetensors(file)).tensors
  } catch (thrown) {
    if (thrown instanceof SystemError) throw thrown
    return null
  }
}

const checksumOf = (file: string): string => `${file}.sha256`

/** The checksum is known when the bytes are written, and stands before they get their name: two processes that write at once write the same. */
const write = async (base: ModelFolder, file: string, turnedFrom: number): Promise<void> => {
  const hash = createHash('sha256')
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const piece of piecesOf(base, turnedFrom)) {
      hash.update(piece)
      yield piece
    }
  }
  await writeFileAtomically(file, hashed(), undefined, () => writeFileAtomically(checksumOf(file), `${hash.digest('hex')}\n`))
}

/** Whether matrices are there both ways round: where they are small. */
export const areBothWays = (matrices: ReadonlyArray<Matrix>, turnedFrom = largeLevels): boolean =>
  matrices.reduce((sum, { d, k }) => sum + d * k, 0) < turnedFrom

/**
 * What the file holds: everything that is no matrix in float32; then of each matrix its scales and its levels, both ways round where they are
 * small. The checkpoint is read once, a tensor at a time.
 */
async function* piecesOf(base: ModelFolder, turnedFrom: number): AsyncGenerator<Uint8Array> {
  const { matrices } = base.model.spec
  const names = new Set(matrices.map(({ name }) => `${name}.weight`))
  const bothWays = areBothWays(matrices, turnedFrom)
  const others = [...base.frozen].filter(([name]) => !names.has(name))
  const quantized = [...base.frozen].filter(([name]) => names.has(name))
  yield headerOf([
    ...others.map(([name, { shape }]) => ({ name, dtype: 'F32' as const, shape })),
    ...quantized.flatMap(([name, { shape }]) => declare(name, shape, bothWays)),
  ])
  for (const [, entry] of others) yield bytesOf(await readTensor(entry))
  for (const [, entry] of quantized) yield* quantizedPieces(await readTensor(entry), entry.shape, bothWays)
}

const declare = (name: string, [rows = 0, columns = 0]: ReadonlyArray<number>, bothWays: boolean): ReadonlyArray<Declaration> => {
  const { levels, transposed, scales } = partsOf(name)
  return [
    { name: scales, dtype: 'F32', shape: [rows] },
    { name: levels, dtype: 'I8', shape: [rows, columns] },
    ...(bothWays ? [{ name: transposed, dtype: 'I8' as const, shape: [columns, rows] }] : []),
  ]
}

function* quantizedPieces(W: Float32Array, shape: ReadonlyArray<number>, bothWays: boolean): Generator<Uint8Array> {
  const scales = rowScales(W, shape)
  const levels = rowLevels(W, scales)
  yield bytesOf(scales)
  yield bytesOf(levels)
  if (bothWays) yield bytesOf(transposedOf(levels, shape))
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Int8Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength)
