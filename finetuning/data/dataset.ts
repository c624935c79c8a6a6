/** Dataset: labeled texts in memory, whatever file they came from, and the numbers as they are written in such files. */

export type Example = {
  readonly text: string
  readonly textPair?: string | undefined
  /** Classification: the class's index in `labelNames`. Regression: the score itself, in the file's units. */
  readonly label: number
  /** Multi-label: the indices of all classes that hold, perhaps none; `label` is then not read. */
  readonly labels?: ReadonlyArray<number> | undefined
  /** The line of the file on which the example begins, counted from 1, a header included. */
  readonly row: number
}

/** A row that a stated rule left out, and what was wrong with it. */
export type SkippedRow = { readonly row: number; readonly found: string }

export type Dataset = {
  /** Where the examples were read: a path, or the name of the embedded data. */
  readonly source: string
  readonly examples: ReadonlyArray<Example>
  /** The classes in the order of their indices; null for regression. */
  readonly labelNames: ReadonlyArray<string> | null
  /** Never in silence: each row of the file is an example, a header, or listed here. */
  readonly skipped: ReadonlyArray<SkippedRow>
  /** Where the examples from one on are a second set, which is scored apart: MNLI's mismatched sentences. */
  readonly second?: SecondSet
}

export type SecondSet = { readonly name: string; readonly from: number }

/** One set after another, to be scored apart. */
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

/** The finite number a decimal numeral stands for, or null: `Number` alone would accept '', '0x10' and 'Infinity'. */
export const decimal = (written: string): number | null =>
  DECIMAL.test(written) && Number.isFinite(Number(written)) ? Number(written) : null
