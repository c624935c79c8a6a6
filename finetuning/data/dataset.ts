/** A dataset: labeled texts in memory, from any file. It also knows how these files write numbers. */
import type { Shares } from '../../accelerated/probe/linearModel.js'

export type Example = {
  readonly text: string
  readonly textPair?: string | undefined
  /** Embeddings: a text that does not answer `text`. */
  readonly negative?: string | undefined
  /** Classification: the index in `labelNames`. Regression: the score, in the file's units. */
  readonly label: number
  /** Multi-label: the indices of all classes that hold, perhaps none. `label` is then not read. */
  readonly labels?: readonly number[] | undefined
  /** Classification by soft labels: the probabilities of the classes, without those of 0. `label` is then the most probable class. */
  readonly shares?: Shares | undefined
  /** Token classification: where each word begins and ends in `text`, one after another. `labels` then has one class per word. */
  readonly words?: ArrayLike<number> | undefined
  /** The line of the file on which the example begins, counted from 1, the header included. */
  readonly row: number
}

/** A skipped row, and what is wrong with it. */
export type SkippedRow = { readonly row: number; readonly reason: string }

export type Dataset = {
  /** Where the examples come from: a path, or the name of the embedded dataset. */
  readonly source: string
  readonly examples: readonly Example[]
  /** The classes in the order of their indices; null: there are none. */
  readonly labelNames: readonly string[] | null
  /** Every row of the file is an example, the header, or listed here. */
  readonly skipped: readonly SkippedRow[]
  /** What was read otherwise than it was asked for, one line each; absent: nothing. */
  readonly notes?: readonly string[]
  /** What is probably wrong in the rows, one line each; absent: nothing. */
  readonly warnings?: readonly string[]
  /** Labels that are read as one class, such as 1 and 1.0; absent: none. */
  readonly mergedLabels?: readonly (readonly string[])[]
  /** A second set at the end of `examples`, with scores of its own: MNLI's mismatched sentences. */
  readonly second?: SecondSet
  /** The files of a mixture in their order; absent: there is one file. */
  readonly files?: readonly FileRows[]
}

/** A file of a mixture. `drawn`: its rows in an epoch, which repeats or leaves out rows where files have weights */
export type FileRows = { readonly source: string; readonly rows: number; readonly drawn: number }

export type SecondSet = { readonly name: string; readonly from: number }

/** Two sets, one after the other, with scores of their own. */
export const withSecond = (first: Dataset, name: string, second: Dataset): Dataset => ({
  ...first,
  source: `${first.source} and ${second.source}`,
  examples: [...first.examples, ...second.examples],
  skipped: [...first.skipped, ...second.skipped],
  second: { name, from: first.examples.length },
})

const INTEGER = /^[+-]?\d+$/
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

export const isInteger = (written: string): boolean => INTEGER.test(written)

/** The finite number of a decimal numeral, or null. `Number` alone would accept '', '0x10' and 'Infinity'. */
export const decimal = (written: string): number | null =>
  DECIMAL.test(written) && Number.isFinite(Number(written)) ? Number(written) : null

/**
 * The place of an error in a file of examples.
 * `FILE, row 12`: the line of the file, counted from 1 as in an editor, its header included.
 */
export const atRow = (file: string, row: number): string => `${file}, row ${row}`
