/** A text in memory as what n-gram models are trained on and score. */
import type { TextSource } from '../../evaluation/ngram/textLines.js'

/** @param cut at these places into chunks */
export const textOf = (text: string | Uint8Array, cuts: readonly number[] = [], name = 'text'): TextSource => {
  const bytes = Buffer.from(text)
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (const [i, place] of places.entries()) if (i > 0) yield bytes.subarray(places[i - 1], place)
  }
  return { name, bytes: bytes.length, chunks: chunks() }
}
