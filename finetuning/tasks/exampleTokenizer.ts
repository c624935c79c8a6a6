/** The type of a tokenizer of examples: texts in, tokenized examples out. The tokenizers of texts are in accelerated/checkpoints/tokenizer. */
import type { Examples } from '../../accelerated/models/packing.js'
import type { Example } from '../data/index.js'

export type ExampleTokenizer<E> = {
  readonly training: (texts: Iterable<Example>) => Examples<E>
  readonly evaluation: (texts: Iterable<Example>) => Examples<E>
  /** Warnings about the texts, once they are tokenized. */
  readonly warnings: () => readonly string[]
}

/** @param truncated how many of the `texts` have more than `maxLength` tokens */
export const truncationWarnings = (truncated: number, texts: number, maxLength: number): readonly string[] => {
  const [count, all] = [truncated, texts].map((n) => n.toLocaleString('en-US'))
  return truncated === 0 ? [] : [`${count} of ${all} texts are longer than --max-length ${maxLength} and are truncated`]
}
