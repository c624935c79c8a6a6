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

/** Reports how many examples are tokenized: tokenizing takes one turn of its thread, so its events cannot wait for another. */

/** Milliseconds before the first line, and between two lines. */
const [firstLine, interval] = [2_000, 10_000]

export type TokenizingProgress = { readonly done: number; readonly examples: number }

/** Lines such as `tokenizing, 12,000 of 52,002 examples`. */
export const tokenizingReporter = (
  onLine: (line: string) => void,
  now: () => number = () => performance.now(),
): ((at: TokenizingProgress) => void) => {
  let due = NaN // no example so far
  return ({ done, examples }) => {
    const time = now()
    if (done <= 1 || Number.isNaN(due)) due = time + firstLine
    if (time < due || done >= examples) return
    due = time + interval
    onLine(`tokenizing, ${done.toLocaleString('en-US')} of ${examples.toLocaleString('en-US')} examples`)
  }
}

let listener: (at: TokenizingProgress) => void = () => undefined

/** Sets the listener of this thread. */
export const onTokenizingProgress = (onLine: (line: string) => void): void => {
  listener = tokenizingReporter(onLine)
}

export const reportTokenizing = (at: TokenizingProgress): void => listener(at)
