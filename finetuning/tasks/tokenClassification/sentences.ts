/** What readers of tagged sentences share: their options, and the sentences as a file has them. */
import type { Placed } from '../../data/rows.js'

export type TaggedOptions = Placed & {
  /** Rows: the column of the tokens or of the text. By default `tokens` or `text`. */
  readonly text?: string
  /** Rows: the column of the tags or of the spans. By default `ner_tags`, `tags`, `spans` or `entities`. */
  readonly label?: string
  /** The encoding of the file, such as `windows-1252`; UTF-8 by default. */
  readonly encoding?: string
  /** The tags that numbers stand for, in order, separated by commas. */
  readonly tagNames?: string
  /** The classes of the training data, which an evaluation file must keep to. */
  readonly labelNames?: readonly string[]
  /** Skip sentences without text or tags, and those with a span that is not of whole words, instead of refusing the file. */
  readonly skipMissing?: boolean
}

/** A sentence as a file has it; `words` as in `Example`. */
export type Sentence = { readonly text: string; readonly words: Int32Array; readonly tags: readonly string[] }

export type TakeSentence = (row: number, sentence: Sentence) => void

/** Reads all sentences of a file. @param skip is called for a row that is not read, if rows may be skipped @throws InputError */
export type ReadSentences = (
  file: string,
  options: TaggedOptions,
  take: TakeSentence,
  skip: (row: number, reason: string) => void,
) => Promise<void>

/** Words of a sentence: more are a file without blank lines. */
export const mostWords = 100_000
