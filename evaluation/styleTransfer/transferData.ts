/** What is transferred: sentences of two styles, and what people made of them in the other one. */
import type { Style, StyleName } from '../../finetuning/data/styles.js'

export type Direction = {
  /** such as `negative to positive` */
  readonly name: string
  /** the style of the sources */
  readonly from: Style
  /** of the prompt: SaLoRA, Table A3 */
  readonly instruction: string
  /** the file of the sources, for messages */
  readonly file: string
  readonly sources: ReadonlyArray<string>
  /** one list a person: references[k][i] belongs to sources[i]; normalized */
  readonly references: ReadonlyArray<ReadonlyArray<string>>
}

export type TransferData = {
  /** names by number */
  readonly styles: readonly [string, string]
  /** from style 0, from style 1 */
  readonly directions: readonly [Direction, Direction]
  /** files of sentences to train a language model on, by style; null where there are none */
  readonly training: readonly [string, string] | null
}

/** A set of data in its official folders. */
export type TransferDataset = {
  /** what --dataset says */
  readonly name: StyleName
  /** as tables call it */
  readonly title: string
  /** a few words for --help: the folder's layout */
  readonly layout: string
  /** @throws InputError for the first thing wrong */
  readonly read: (folder: string) => Promise<TransferData>
}

export const bothStyles: ReadonlyArray<Style> = [0, 1]
export const otherStyle = (style: Style): Style => (style === 0 ? 1 : 0)
