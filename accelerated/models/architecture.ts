/** An architecture: everything that the product knows about a family of models. A model is an architecture with its sizes. */
import type { Expression } from '../graph/expression.js'
import type { BatchInputs, PaddedInputs } from './batchInputs.js'
import type { GgufFamily } from './gguf.js'
import type { Host } from './host.js'

export type TensorShape = readonly number[]

/** One matrix W [d, k] = [out, in] that can carry an adapter. */
export type Matrix = { readonly name: string; readonly d: number; readonly k: number }

/** A block with a residual connection: attention or feed-forward. */
export type Sublayer = { readonly name: string; readonly of: 'attention' | 'feedForward' }

export type Layer = {
  readonly name: string
  /** of keys and values */
  readonly heads: number
  readonly headSize: number
  readonly sublayers: readonly Sublayer[]
}

/** A layer of two blocks, by their names. @param heads of keys and values */
export const blockLayer = (name: string, heads: number, headSize: number, attention: string, feedForward: string): Layer => ({
  ...{ name, heads, headSize },
  sublayers: [
    { name: attention, of: 'attention' },
    { name: feedForward, of: 'feedForward' },
  ],
})

/** Places, besides matrices, where a host lets methods add. */
export type HookPoint = 'sublayer' | 'keyValue' | 'embedded'

/** Names and sizes of a model without its numbers: all that a method depends on. */
export type ModelSpec = {
  readonly hiddenSize: number
  /** of the word embeddings */
  readonly embeddingSize: number
  /** the tensor of the word embeddings: [vocabulary, embeddingSize] */
  readonly words: string
  /** every tensor of the base model by canonical name, without heads */
  readonly tensors: ReadonlyMap<string, TensorShape>
  /** in layer order */
  readonly matrices: readonly Matrix[]
  readonly layers: readonly Layer[]
  /** the most positions of one example */
  readonly maxPositions: number
  /** a decoder's tokens attend only to earlier ones */
  readonly kind: 'encoder' | 'decoder'
  /** the hook points of this family that are tested against a library */
  readonly supportedHooks: readonly HookPoint[]
  /** ends of the names of the matrices whose outputs IA³ scales by default in PEFT, where these are not keys and values */
  readonly ia3Targets?: readonly string[]
}

/** Layers on top of the hidden states, with their own tensors. */
export type Head = {
  readonly tensors: ReadonlyMap<string, TensorShape>
  /** rows: [rows, hidden] → [rows, outputs] */
  readonly outputs: (rows: Expression, host: Host) => Expression
  /** of a classifier: the activation between its two layers */
  readonly activation?: 'tanh' | 'relu' | 'gelu' | undefined
}

/** A head of classes or scores: features of each row, and one linear layer on them. */
export type ClassifierHead = Head & {
  /** what the linear layer reads. rows: [rows, hidden] → [rows, width] */
  readonly features: (rows: Expression, host: Host) => Expression
  /** the linear layer: `${last}.weight` [outputs, width], and `${last}.bias` [outputs] unless the family has none */
  readonly last: string
}

/** A head over the vocabulary. frozen: its tensors beyond the spec's. words: the name of its matrix, one row per word: [vocabulary, hidden] */
export type CausalHead = Head & {
  readonly frozen: ReadonlyMap<string, TensorShape>
  readonly words: string
  /** From products of rows and words to logits, element by element. Absent: they are the same. */
  readonly toLogits?: (logits: Expression) => Expression
}

/** How special tokens frame one text or two, and the token type of the second. It is checked against the tokenizer. */
export type SpecialTokenTemplate = {
  /** number of separator tokens between two texts */
  readonly between: number
  readonly secondType: 0 | 1
  /** number of token types */
  readonly types: number
  /** for messages: `<s> A </s></s> B </s>` */
  readonly form: string
}

/** Names of the model's parts in other tools. */
export type Naming = {
  /** prefix of the base model's tensors in files: `roberta.` */
  readonly prefix: string
  readonly sequenceClassifier: string
  /** of an encoder: the class that classifies tokens */
  readonly tokenClassifier?: string
  /** of a decoder: the class that predicts the next token */
  readonly causal?: string
  readonly tokenizer: string
  /** The name in files of a tensor of the base model or of a head. */
  readonly stored: (name: string) => string
  /** The module in which the adapters library puts a sublayer's adapters (default: the sublayer's own module). */
  readonly adaptersAt?: (sublayer: string) => string
}

export type Model = {
  /** config.json's model_type */
  readonly type: string
  readonly spec: ModelSpec
  readonly vocabularySize: number
  readonly paddingIndex: number
  /** the number of the first token's position */
  readonly firstPosition: number
  /** whether the model uses token types */
  readonly tokenTypes: boolean
  /** null: as the tokenizer frames texts */
  readonly specialTokens: SpecialTokenTemplate | null
  readonly naming: Naming
  /** Whether checkpoints store this tensor, a matrix by canonical name, as [in, out] instead of [out, in] (GPT-2). Absent: none. */
  readonly transposed?: ((tensor: string) => boolean) | undefined
  /** Whether a checkpoint's tensor of this canonical name is a buffer and not a weight. Absent: none is. */
  readonly ignored?: ((tensor: string) => boolean) | undefined
  /** Hidden states of a batch: → [tokens, hidden], one example after another (padding included where the batch keeps it) */
  readonly hidden: (host: Host, batch: BatchInputs | PaddedInputs) => Expression
  /** what the sequence head reads of an example: its first or last token, or the mean of its tokens */
  readonly pooling: 'first' | 'last' | 'mean'
  /** Reads one row of each example: one logit per class, or the number of a regression. */
  readonly sequenceHead: (outputs: number) => ClassifierHead
  /** Of an encoder: reads every token, and gives one logit per class. */
  readonly tokenHead?: (outputs: number) => Head
  /** Of an encoder: reads masked tokens, and gives logits over the vocabulary. */
  readonly maskedHead?: () => Head
  /** Of a decoder: reads tokens, and gives logits of the next token over the vocabulary. */
  readonly causalHead?: () => CausalHead
  /** The family's positions of padded token ids. ids: int64 [batch, sequence] */
  readonly paddedPositions: (ids: Expression) => Expression
  /** The same model with this dropout probability everywhere. */
  readonly withDropout: (probability: number) => Model
}

/** One family, by its values of config.json's model_type. */
export type Architecture = {
  readonly modelTypes: readonly string[]
  /** Values of model_type that are not read, and what is read of their family. */
  readonly unread?: Readonly<Record<string, string>>
  /** Opens a parsed config.json. `where` is the file's name in messages. @throws InputError that names the key */
  readonly open: (json: object, where: string) => Model
  /** its files in llama.cpp; null: salora has none of the family */
  readonly gguf: GgufFamily | null
}
