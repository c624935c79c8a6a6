/** The file of a model: ARPA, gzip ARPA or compact, chosen by its name or by an option. A file is written whole or not at all. */
import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { writeFileAtomically, type FileSystem } from '../../accelerated/storage/atomicFile.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { withRegularFile } from '../../accelerated/storage/nodeFiles.js'
import { readArpa } from './arpa.js'
import { arpaPieces, type Piece } from './arpaLines.js'
import type { BackoffModel } from './backoffModel.js'
import { compactMagic, compactPieces, readCompact } from './compact.js'
import { fileSource } from './textLines.js'

export const ngramFormats = ['arpa', 'arpa.gz', 'compact'] as const
export type NgramFormat = (typeof ngramFormats)[number]

/** `.gz` is a gzip ARPA, `.ngram` the compact file, anything else an ARPA. */
export const ngramFormatOf = (file: string): NgramFormat =>
  file.endsWith('.gz') ? 'arpa.gz' : file.endsWith('.ngram') ? 'compact' : 'arpa'

/**
 * Writes the model. If this fails, `file` stays as it was.
 * @param progress receives the written share
 * @throws InputError if the file cannot be written; the signal's reason after an abort
 */
export const writeNgramModel = async (
  file: string,
  model: BackoffModel,
  format: NgramFormat = ngramFormatOf(file),
  {
    signal,
    progress = () => undefined,
    fileSystem,
  }: { signal?: AbortSignal | undefined; progress?: (share: number) => void; fileSystem?: FileSystem } = {},
): Promise<void> => {
  const watched = async function* (pieces: Iterable<Piece>): AsyncGenerator<Uint8Array> {
    for (const { bytes, share } of pieces) {
      await new Promise(setImmediate) // signals come in between
      signal?.throwIfAborted()
      yield bytes
      progress(share)
    }
  }
  const pieces = watched(format === 'compact' ? compactPieces(model) : arpaPieces(model))
  await writeFileAtomically(file, format === 'arpa.gz' ? gzipped(pieces) : pieces, fileSystem)
}

/** Errors of `pieces` are thrown by the iteration. */
async function* gzipped(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = Readable.from(pieces, { objectMode: false })
  const gzip = createGzip()
  source.on('error', (error) => gzip.destroy(error)).pipe(gzip)
  try {
    yield* gzip as AsyncIterable<Buffer>
  } finally {
    source.destroy()
    gzip.destroy()
  }
}

/** The first bytes of KenLM's own binaries. */
const kenlmMagic = 'mmap lm http://kheafield.com/code'

/**
 * Opens a model: an ARPA, a gzip file of one, or a compact file; its first bytes say which.
 * @param seen receives the number of bytes read @throws InputError if the file is no valid model
 */
export const openNgramModel = async (
  file: string,
  { signal, seen }: { signal?: AbortSignal | undefined; seen?: (bytes: number) => void } = {},
): Promise<BackoffModel> => {
  const head = await withRegularFile(file, async (handle) => {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(kenlmMagic.length), 0, kenlmMagic.length, 0)
    return buffer.subarray(0, bytesRead)
  })
  if (head.toString('latin1') === kenlmMagic)
    throw inputError(
      file,
      'an ARPA file or a compact one of salora ngram',
      "KenLM's own binary (write an ARPA beside it: lmplz --arpa FILE)",
    )
  if (head.subarray(0, compactMagic.length - 1).equals(compactMagic.subarray(0, -1))) return readCompact(file)
  return readArpa(await fileSource(file, seen), signal)
}
