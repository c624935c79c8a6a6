/** The bytes of a text file, piece by piece and within a bound. A gzip file is unpacked as it is read. */
import { inputError, type InputError } from '../../accelerated/errors/inputError.js'
import { gunzipped, isGzip } from '../../accelerated/storage/text.js'
import type { OpenFile } from '../../accelerated/storage/storage.js'

/** Node reads at most this many bytes at once (2 GiB less one). */
export const MAXIMUM_BYTES = 2 ** 31 - 1

const piece = 2 ** 22

export const tooLarge = (file: string, bytes: number): InputError =>
  inputError(file, `at most ${MAXIMUM_BYTES} bytes (2 GiB)`, `${bytes} bytes`)

/** @throws InputError if the file is larger than 2 GiB, packed or not, or is a damaged gzip file */
export async function* textPieces(file: string, open: OpenFile): AsyncGenerator<Buffer> {
  const { size, read } = open
  const stored = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < size; at += piece) yield await read(at, Math.min(piece, size - at))
  }
  if (!(await isPacked(file, open))) {
    for await (const bytes of stored()) yield toBuffer(bytes)
    return
  }
  let unpacked = 0
  for await (const bytes of gunzipped(file, stored())) {
    unpacked += bytes.length
    if (unpacked > MAXIMUM_BYTES) throw tooLarge(file, unpacked)
    yield toBuffer(bytes)
  }
}

/** The same at once, read piece by piece: a storage may report each. @throws InputError */
export const readAllText = async (file: string, open: OpenFile): Promise<Buffer> => {
  let [all, length] = [Buffer.alloc(open.size), 0] // what a gzip file unpacks to is larger
  for await (const bytes of textPieces(file, open)) {
    if (length + bytes.length > all.length) all = Buffer.concat([all, Buffer.alloc(Math.max(all.length, bytes.length))])
    all.set(bytes, length)
    length += bytes.length
  }
  return all.subarray(0, length)
}

const isPacked = async (file: string, { size, read }: OpenFile): Promise<boolean> => {
  if (size > MAXIMUM_BYTES) throw tooLarge(file, size)
  return isGzip(await read(0, Math.min(2, size)))
}

const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
