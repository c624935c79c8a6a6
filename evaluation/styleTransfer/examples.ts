/** Single transfers with their scores, for a reader who judges them by eye. */
import type { SentenceScores } from './scores.js'

export type TransferExample = {
  readonly source: string
  readonly output: string
  /** the first person's rewriting */
  readonly reference: string
  readonly scores: SentenceScores
}

export type ExampleGroup = { readonly direction: string; readonly examples: ReadonlyArray<TransferExample> }

export type TransferExamples = { readonly title: string; readonly groups: ReadonlyArray<ExampleGroup> }
