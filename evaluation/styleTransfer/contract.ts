/** What a style transfer is asked for, what it reports meanwhile, and its result. */
import type { GenerationInput } from '../../accelerated/generation/settings.js'
import type { PromptTemplate } from '../../finetuning/data/promptTemplates.js'
import type { GeneratorOptions } from '../../finetuning/use/generator.js'
import type { versions } from '../../finetuning/run/versions.js'
import type { TransferDataset } from './datasets.js'
import type { DirectionScores, SentenceScores } from './scores.js'
import type { TransferTable } from './transferTable.js'

/** A decoder that rewrites, or files with another system's outputs: from style 0, from style 1. */
export type TransferSource =
  | {
      readonly generator: Pick<GeneratorOptions, 'model'> & Partial<GeneratorOptions>
      readonly template: PromptTemplate
      readonly generation: Partial<GenerationInput>
    }
  | { readonly files: readonly [string, string]; readonly normalize: boolean }

export type StyleTransferOptions = {
  readonly dataset: TransferDataset
  readonly data: string
  /** use only the first n sentences of each direction; null: all */
  readonly limit: number | null
  readonly source: TransferSource
  /** the row's name in the table */
  readonly name: string
  /** a run that classifies the two styles; null: no accuracy */
  readonly classifier: string | null
  /** files by style; null: trained on the dataset's training sentences, if the dataset has them */
  readonly languageModels: readonly [string, string] | null
  /** the folder of transfers and results; null (only for files of outputs): none */
  readonly output: string | null
}

export type StyleTransferEvent =
  | { readonly kind: 'preparing'; readonly what: string }
  | { readonly kind: 'transferring'; readonly direction: string; readonly done: number; readonly of: number }
  | { readonly kind: 'result'; readonly result: StyleTransferResult; readonly examples: TransferExamples }

export type ByDirection = Readonly<Record<string, DirectionScores>>

export type StyleTransferResult = {
  readonly dataset: string
  readonly name: string
  /** by direction, as `negative to positive` */
  readonly directions: ByDirection
  readonly unchanged: ByDirection
  /** the first person's rewritings; their BLEU against themselves is meaningless */
  readonly reference: ByDirection
  /** the classifier's accuracy on the sources, its test set, in percent; null without one */
  readonly classifier: { readonly name: string; readonly accuracy: Readonly<Record<string, number>> } | null
  /** by style */
  readonly languageModels: readonly string[]
  /** the number of sentences of each direction; null: all */
  readonly limit: number | null
  readonly table: TransferTable
  readonly seconds: { readonly transferring: number; readonly scoring: number }
  readonly versions: typeof versions
}

export type Outputs = readonly [readonly string[], readonly string[]]

/** Single transfers with their scores, for a reader who judges them by eye. */
type TransferExample = {
  readonly source: string
  readonly output: string
  /** the first person's rewriting */
  readonly reference: string
  readonly scores: SentenceScores
}

export type ExampleGroup = { readonly direction: string; readonly examples: readonly TransferExample[] }

export type TransferExamples = { readonly title: string; readonly groups: readonly ExampleGroup[] }
