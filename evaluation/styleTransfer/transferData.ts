/** A style transfer dataset: sentences of two styles, and human rewritings of each in the other style. */
import type { Style, StyleName } from '../../finetuning/data/styles.js'

export type Direction = {
  /** such as `negative to positive` */
  readonly name: string
  /** the style of the sources */
  readonly from: Style
  /** the prompt's instruction: SaLoRA, Table A3 */
  readonly instruction: string
  /** the file of the sources, for messages */
  readonly file: string
  readonly sources: ReadonlyArray<string>
  /** one list per person, normalized: references[k][i] belongs to sources[i] */
  readonly references: ReadonlyArray<ReadonlyArray<string>>
}

export type TransferData = {
  /** names by number */
  readonly styles: readonly [string, string]
  /** from style 0, from style 1 */
  readonly directions: readonly [Direction, Direction]
  /** files with training sentences for language models, by style; null if there are none */
  readonly training: readonly [string, string] | null
}

/** A dataset in its official folders. */
export type TransferDataset = {
  /** the value of --dataset */
  readonly name: StyleName
  /** its name in tables */
  readonly title: string
  /** a few words for --help: the folder's layout */
  readonly layout: string
  /** @throws InputError for the first thing wrong */
  readonly read: (folder: string) => Promise<TransferData>
}

export const bothStyles: ReadonlyArray<Style> = [0, 1]
export const otherStyle = (style: Style): Style => (style === 0 ? 1 : 0)
