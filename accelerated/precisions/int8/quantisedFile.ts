/**
 * The model's weights with its matrices in int8, in a file of the cache: made once, tensor by tensor from the checkpoint, and found again by
 * what the checkpoint's files are. Its bytes are whole or absent, and compared with their checksum before they are used.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { writeFileAtomically } from '../../files/atomicFile.js'
import { fileDigest } from '../../files/digest.js'
import { cacheOf } from '../../files/hub/hubEnvironment.js'
import { readText } from '../../files/jsonText.js'
import { makeFolder } from '../../files/makeFolder.js'
import { modelDigests } from '../../files/modelDigests.js'
import type { ModelFolder } from '../../files/modelFolder.js'
import { readSafetensors, readTensor } from '../../files/safetensors/safetensors.js'
import type { TensorEntry } from '../../files/safetensors/safetensorsHeader.js'
import { fileInFolder } from '../../files/safetensors/weightFiles.js'
import { layOut } from '../../files/safetensors/writeSafetensors.js'
import { SystemError, systemMistake } from '../../files/systemError.js'
import { largeLevels, levelsOf, rowScales, transposedOf } from './quantise.js'

/** The layout of the file: another one has another name. */
const layoutVersion = 2

/** Names of the parts of a quantised matrix. */
export const partsOf = (name: string) => ({ levels: `${name}.levels`, transposed: `${name}.transposed`, scales: `${name}.scales` })

export type QuantisedFile = { readonly folder: string; readonly file: string; readonly tensors: ReadonlyMap<string, TensorEntry> }

/** The file's folder and its tensors by name. Yields a line when it has to be made. @throws Mistake where it cannot be */
export async function* quantisedFile(
  base: ModelFolder,
  cache: string = cacheOf(process.env),
  turnedFrom = largeLevels,
): AsyncGenerator<string, QuantisedFile> {
  const folder = join(cache, 'salora-int8')
  const { 'tokenizer.json': _, 'tokenizer_config.json': __, ...digests } = await modelDigests(base)
  const name = `${createHash('sha256')
    .update(JSON.stringify([layoutVersion, turnedFrom, Object.entries(digests).sort()]))
    .digest('hex')}.safetensors`
  const file = join(folder, name)
  await makeFolder(folder).catch((thrown: unknown) => {
    throw systemMistake(folder, 'a cache that can be written (SALORA_CACHE names another)', thrown)
  })
  const there = await wholeFile(folder, name)
  if (there === null) {
    yield `quantising the matrices of ${base.baseModelName}, once, into ${folder}`
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
    if ((await readText(checksum, 1_000)).trim() !== (await fileDigest(file))) return null
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

type Part = { readonly dtype: 'F32' | 'I8'; readonly shape: ReadonlyArray<number>; readonly bytes: () => Promise<Uint8Array> }

/** What the file holds: of a matrix its levels, both ways round where they are small, and its scales; everything else in float32. One tensor is in memory at a time. */
async function* piecesOf(base: ModelFolder, turnedFrom: number): AsyncGenerator<Uint8Array> {
  const { matrices } = base.model.outline
  const names = new Set(matrices.map(({ name }) => `${name}.weight`))
  const bothWays = matrices.reduce((sum, { d, k }) => sum + d * k, 0) < turnedFrom
  const parts = new Map<string, Part>()
  for (const [name, entry] of base.frozen) {
    const { shape } = entry
    const [rows = 0, columns = 0] = shape
    if (!names.has(name)) {
      parts.set(name, { dtype: 'F32', shape, bytes: async () => bytesOf(await readTensor(entry)) })
      continue
    }
    const { levels, transposed, scales } = partsOf(name)
    parts.set(scales, { dtype: 'F32', shape: [rows], bytes: async () => bytesOf(rowScales(await readTensor(entry), shape)) })
    parts.set(levels, { dtype: 'I8', shape, bytes: async () => bytesOf(levelsOf(await readTensor(entry), shape)) })
    if (bothWays)
      parts.set(transposed, {
        dtype: 'I8',
        shape: [columns, rows],
        bytes: async () => bytesOf(transposedOf(levelsOf(await readTensor(entry), shape), shape)),
      })
  }
  const { header, order } = layOut([...parts].map(([name, { dtype, shape }]) => ({ name, dtype, shape })))
  yield header
  for (const name of order) yield await (parts.get(name) as Part).bytes()
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Int8Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength)
