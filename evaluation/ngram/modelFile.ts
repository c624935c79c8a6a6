/** The file of a model: ARPA, as KenLM, SRILM and others read it, or a gzip file of one. It is written completely or not at all. */
import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { writeFileAtomically, type FileSystem } from '../../accelerated/storage/atomicFile.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { withRegularFile } from '../../accelerated/storage/nodeFiles.js'
import { readArpa } from './arpa.js'
import type { BackoffModel } from './backoffModel.js'
import { fileSource } from './textLines.js'

export type WriteOptions = {
  readonly signal?: AbortSignal | undefined
  /** receives the written share */
  readonly progress?: (share: number) => void
  readonly fileSystem?: FileSystem
}

/**
 * Writes the model, packed if the file's name ends in `.gz`. If this fails, `file` stays as it was.
 * @throws InputError if the file cannot be written; the signal's reason after an abort
 */
export const writeNgramModel = async (
  file: string,
  model: BackoffModel,
  { signal, progress = () => undefined, fileSystem }: WriteOptions = {},
): Promise<void> => {
  const watched = async function* (): AsyncGenerator<Uint8Array> {
    for (const { text, share } of arpaPieces(model)) {
      await new Promise(setImmediate) // signals come in between
      signal?.throwIfAborted()
      yield Buffer.from(text)
      progress(share)
    }
  }
  await writeFileAtomically(file, file.endsWith('.gz') ? gzipped(watched()) : watched(), fileSystem)
}

/** Characters of a piece, about. */
const piece = 2 ** 20

/** Pieces of the file, with the share of the n-grams up to each. A trained model's n-grams are in suffix order, as lmplz writes them. */
function* arpaPieces({ vocabulary, levels }: BackoffModel): Generator<{ readonly text: string; readonly share: number }> {
  const names = Array.from({ length: vocabulary.size() }, (_, word) => Buffer.from(vocabulary.wordBytes(word)).toString())
  const total = levels.reduce((sum, { probabilities }) => sum + probabilities.length, 0)
  let done = 0
  let text = `\\data\\\n${levels.map(({ probabilities }, i) => `ngram ${i + 1}=${probabilities.length}\n`).join('')}`
  for (const [i, { words, probabilities, backoffs }] of levels.entries()) {
    text += `\n\\${i + 1}-grams:\n`
    for (let gram = 0; gram < probabilities.length; gram++) {
      text += decimal(probabilities[gram] as number)
      for (let k = 0; k <= i; k++) text += (k === 0 ? '\t' : ' ') + (names[words[gram * (i + 1) + k] as number] as string)
      text += backoffs.length > 0 ? `\t${decimal(backoffs[gram] as number)}\n` : '\n'
      done++
      if (text.length < piece) continue
      yield { text, share: done / total }
      text = ''
    }
  }
  yield { text: `${text}\n\\end\\\n`, share: 1 }
}

/** Seven decimals at most, which keep a float32 between −0.5 and −16; never an exponent. */
const decimal = (value: number): string => {
  const scaled = Math.round(Math.abs(value) * 1e7)
  return `${value < 0 && scaled > 0 ? '-' : ''}${scaled > 0 && scaled < 10 ? `0.000000${scaled}` : scaled / 1e7}`
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

/** How binaries begin that are no ARPA files, and what to do about them. */
const binaries: readonly (readonly [magic: string, got: string])[] = [
  ['mmap lm http://kheafield.com/code', "KenLM's own binary (write an ARPA beside it: lmplz --arpa FILE)"],
  ['salora n-grams\0', 'the compact file of an earlier salora (train it again: salora ngram train --output FILE.arpa)'],
]

/**
 * Opens a model: an ARPA, or a gzip file of one, whatever its name.
 * @param seen receives the number of bytes read @throws InputError if the file is no valid model
 */
export const openNgramModel = async (
  file: string,
  { signal, seen }: { signal?: AbortSignal | undefined; seen?: (bytes: number) => void } = {},
): Promise<BackoffModel> => {
  const head = await withRegularFile(file, async (handle) => {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(64), 0, 64, 0)
    return buffer.toString('latin1', 0, bytesRead)
  })
  const binary = binaries.find(([magic]) => head.startsWith(magic))
  if (binary !== undefined) throw inputError(file, 'an ARPA file', binary[1])
  return readArpa(await fileSource(file, seen), signal)
}
