/** The messages between a program and the thread that answers for its runs. */
import type { SentError } from '../../../accelerated/errors/sentError.js'
import type { CallCount } from '../../../accelerated/engines/nativeCallGuard.js'
import type { GenerationEnd } from '../../../accelerated/generation/generate.js'
import type { Generator, TokenLogprob, TokenPrompt, TokenScore } from '../generator.js'
import type { Text } from '../../tasks/taskType.js'
import type { PromptTemplate } from '../../data/promptTemplates.js'
import type { Prompt } from '../../tasks/texts/prompts.js'
import type { MachineChoice, RunColumns } from '../runSource.js'

/** The input of the thread. */
export type ServingOptions = { readonly runs: readonly string[]; readonly base?: BaseOptions | undefined; readonly machine: MachineChoice }

/** One base, which is opened once for all its adapters. */
export type BaseOptions = {
  /** a folder in Hugging Face layout, or a hub id */
  readonly model: string
  readonly adapters: readonly AdapterSource[]
  /** the largest rank of an adapter, which all are padded to; null: 16, or that of the first adapters if it is larger */
  readonly maxRank: number | null
}

/** path: the folder of a run or of an adapter · scale: of its update, beside its own */
export type AdapterSource = { readonly path: string; readonly scale: number }

export type ServingData = { readonly options: ServingOptions; readonly calls: CallCount }

/** What is known of an open run. */
export type RunInfo = {
  readonly folder: string
  /** the base model: a folder or a hub id */
  readonly model: string
  readonly method: string
  /** classification, multi-label, regression, causal, … */
  readonly taskType: string
  readonly device: string
  /** tokens of a text that the run reads; a longer text is truncated */
  readonly maxLength: number
  /** texts of one batch */
  readonly batchSize: number
  /** the classes in the order of the outputs; null: there are none */
  readonly labelNames: readonly string[] | null
  /** the columns of the texts in the run's data */
  readonly columns: RunColumns
  /** no run says whether its texts are pairs */
  readonly takesAny?: true
  /** how the run's prompts are framed; null: it writes no text, or was trained on plain texts */
  readonly promptTemplate: PromptTemplate | null
  /** generate: the run writes text */
  readonly answers: 'predict' | 'generate'
}

export type GenerationChoice = NonNullable<Parameters<Generator['answers']>[1]>

export type ServedPrompt = Prompt | TokenPrompt

/** after: the tokens of an answer · top: how many of the likeliest tokens */
export type ScoreRequest = { readonly prompt: ServedPrompt; readonly after: readonly number[]; readonly top: number }

/** Of the prompt's tokens, and then of those after it. */
export type Scores = { readonly promptTokens: number; readonly tokens: readonly TokenScore[] }

export type Request =
  | { readonly kind: 'predict'; readonly id: number; readonly run: number; readonly texts: readonly Text[] }
  | {
      readonly kind: 'generate'
      readonly id: number
      readonly run: number
      readonly prompt: ServedPrompt
      readonly settings: GenerationChoice
    }
  | ({ readonly kind: 'score'; readonly id: number; readonly run: number } & ScoreRequest)
  /** ends a generation after its current token */
  | { readonly kind: 'stop'; readonly id: number }
  /** opens one more adapter of the base */
  | { readonly kind: 'open'; readonly id: number; readonly source: AdapterSource }
  /** frees a run after its last call */
  | { readonly kind: 'close'; readonly id: number; readonly run: number }
  | { readonly kind: 'release' }

/** The prediction for one text, or why there is none. */
export type SentOutcome = { readonly value: object; readonly truncated: boolean; readonly tokens: number } | { readonly error: SentError }

export type Reply =
  | { readonly kind: 'preparing'; readonly what: string }
  /** at the first answer of a graph on a GPU: how many float nodes ran on the CPU, in one line */
  | { readonly kind: 'placement'; readonly line: string; readonly warns: boolean }
  /** the runs, or the base (null: it answers nothing by itself) and its adapters */
  | { readonly kind: 'opened'; readonly runs: readonly (RunInfo | null)[] }
  | { readonly kind: 'attached'; readonly id: number; readonly run: number; readonly info: RunInfo }
  | { readonly kind: 'closed'; readonly id: number }
  /** nothing can be opened; the thread has ended */
  | { readonly kind: 'refused'; readonly error: SentError }
  | { readonly kind: 'predicted'; readonly id: number; readonly outcomes: readonly SentOutcome[] }
  | { readonly kind: 'started'; readonly id: number; readonly promptTokens: number }
  | { readonly kind: 'piece'; readonly id: number; readonly text: string; readonly logprobs?: readonly TokenLogprob[] }
  | ({ readonly kind: 'generated'; readonly id: number } & GeneratedText)
  | ({ readonly kind: 'scored'; readonly id: number } & Scores)
  | { readonly kind: 'failed'; readonly id: number; readonly error: SentError }
  | { readonly kind: 'released' }

export type GeneratedText = {
  readonly text: string
  readonly tokens: number
  /** end: the model ended the text · stop: a stop string · length: maxNewTokens or the model's positions · aborted: the signal */
  readonly ended: GenerationEnd | 'aborted'
  /** its tokens, the one that ended it included */
  readonly ids: readonly number[]
  /** of the tokens without the one that ended it; absent: nobody asked for them */
  readonly logprobs?: readonly TokenLogprob[]
}

/** One end of a channel between the two. */
export type Port<In, Out> = {
  readonly send: (message: Out) => void
  readonly receive: (listener: (message: In) => void) => void
}
