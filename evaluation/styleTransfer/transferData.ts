/** What is transferred: sentences of two styles, and what people made of them in the other one. */

/** The two styles by number, as files and classifiers have them. */
export type StyleNumber = 0 | 1

export type Direction = {
  /** such as `negative to positive` */
  readonly name: string
  /** the style of the sources */
  readonly from: StyleNumber
  /** of the prompt: SaLoRA, Table A3 */
  readonly instruction: string
  /** the file of the sources, for messages */
  readonly file: string
  readonly sources: ReadonlyArray<string>
  /** one list a person: references[k][i] belongs to sources[i]; normalised */
  readonly references: ReadonlyArray<ReadonlyArray<string>>
}

export type TransferData = {
  /** names by number */
  readonly styles: readonly [string, string]
  /** from style 0, from style 1 */
  readonly directions: readonly [Direction, Direction]
  /** files of sentences to train a language model on, by style; null where there is none */
  readonly training: readonly [string | null, string | null]
}

/** A set of data in its official folders. */
export type TransferDataset = {
  /** what --dataset says */
  readonly name: string
  /** as tables call it */
  readonly title: string
  /** a few words for --help: the folder's layout */
  readonly layout: string
  /** @throws Mistake or UserError for the first thing wrong */
  readonly read: (folder: string) => Promise<TransferData>
}

export const styleNumbers: ReadonlyArray<StyleNumber> = [0, 1]
export const otherStyle = (style: StyleNumber): StyleNumber => (style === 0 ? 1 : 0)
