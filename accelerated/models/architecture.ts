/** An architecture: all that is known of a family of models. A model is an architecture with its sizes filled in; nothing above asks for more. */
import type { Expression } from '../graph/expression.js'
import type { BatchInputs, PaddedInputs } from './batchInputs.js'
import type { Host } from './host.js'

export type TensorShape = ReadonlyArray<number>

/** One matrix W [d, k] = [out, in] that can carry an adapter. */
export type Matrix = { readonly name: string; readonly d: number; readonly k: number }

/** A block with a residual around it, and whether it is the attention's or the feed-forward's. */
export type Sublayer = { readonly name: string; readonly of: 'attention' | 'feedForward' }

export type Layer = {
  readonly name: string
  /** of keys and values */
  readonly heads: number
  readonly headSize: number
  readonly sublayers: ReadonlyArray<Sublayer>
}

/** Where a host lets methods add beside its matrices. */
export type HookPoint = 'sublayer' | 'keyValue' | 'embedded'

/** Names and sizes of a model, without its numbers: what a method can take hold of. */
export type ModelSpec = {
  readonly hiddenSize: number
  /** of the word embeddings */
  readonly embeddingSize: number
  /** every tensor of the base model by canonical name; heads are apart */
  readonly tensors: ReadonlyMap<string, TensorShape>
  /** in layer order */
  readonly matrices: ReadonlyArray<Matrix>
  readonly layers: ReadonlyArray<Layer>
  /** positions of one example */
  readonly maxPositions: number
  /** whether tokens see those after them */
  readonly kind: 'encoder' | 'decoder'
  /** places of the host, beside matrices, where methods may add: those held to a library on this family */
  readonly supportedHooks: ReadonlyArray<HookPoint>
}

/** Layers on top of the hidden states, with tensors of their own. */
export type Head = {
  readonly tensors: ReadonlyMap<string, TensorShape>
  /** rows: [rows, hidden] → [rows, outputs] */
  readonly outputs: (rows: Expression, host: Host) => Expression
  /** of a classifier, what stands between its two maps */
  readonly activation?: 'tanh' | 'relu' | 'gelu'
}

/** A head over the vocabulary. frozen: its tensors beside the outline's. words: its matrix, a row a word: [vocabulary, hidden] */
export type CausalHead = Head & { readonly frozen: ReadonlyMap<string, TensorShape>; readonly words: (host: Host) => Expression }

/** How special tokens frame one text or two, and which token type the second text has: to be checked against the tokenizer. */
export type SpecialTokenTemplate = {
  /** end-of-text tokens between two texts */
  readonly between: number
  readonly secondType: 0 | 1
  /** token types that the model tells apart */
  readonly types: number
  /** for messages: `<s> A </s></s> B </s>` */
  readonly form: string
}

/** What other tools call the model's parts. */
export type Naming = {
  /** before the names of the encoder's tensors in files: `roberta.` */
  readonly prefix: string
  readonly sequenceClassifier: string
  /** of a decoder, the class that predicts the next token */
  readonly causal?: string
  readonly tokenizer: string
  /** name in files of a canonical name that stands outside the encoder or within it */
  readonly stored: (name: string) => string
  /** where the adapters library has the adapters of a sublayer, where that is not within the module of its name */
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
  /** whether inputs have token types that matter */
  readonly tokenTypes: boolean
  /** null: as the tokenizer itself frames texts */
  readonly specialTokens: SpecialTokenTemplate | null
  readonly naming: Naming
  /** Whether checkpoints store this tensor, a matrix by canonical name, as [in, out] instead of [out, in] (GPT-2). Absent: none. */
  readonly transposed?: (tensor: string) => boolean
  /** Whether a checkpoint's tensor of this canonical name is a buffer and not a weight. Absent: none is. */
  readonly ignored?: (tensor: string) => boolean
  /** Hidden states of a batch: → [tokens, hidden], one example after another (padding included where the batch keeps it) */
  readonly hidden: (host: Host, batch: BatchInputs | PaddedInputs) => Expression
  /** the token that the sequence head reads of each example */
  readonly pooling: 'first' | 'last'
  /** Reads one token of each example: classes, or the one number of a regression. */
  readonly sequenceHead: (outputs: number) => Head
  /** Reads masked tokens, in an encoder: logits over the vocabulary. */
  readonly maskedHead?: () => Head
  /** Reads tokens for what follows them, in a decoder: logits over the vocabulary. */
  readonly causalHead?: () => CausalHead
  /** Positions of padded token ids, as the family counts them where it is given ids alone. ids: int64 [batch, sequence] */
  readonly paddedPositions: (ids: Expression) => Expression
  /** The same model with this probability at every dropout site of its own. */
  readonly withDropout: (probability: number) => Model
}

/** One family, by the model_type values it answers to. */
export type Architecture = {
  readonly modelTypes: ReadonlyArray<string>
  /** From a config.json, already parsed as JSON. `where` is the file's name in messages. @throws a mistake that names the key */
  readonly open: (json: object, where: string) => Model
}
