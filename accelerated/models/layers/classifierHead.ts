/** Heads on hidden states: of classes or scores, from a family's features of a row, and a decoder's, over classes and over words. */
import type { Expression } from '../../graph/expression.js'
import { add, div, gelu, reduceSum, relu, tanh, reshape, sqrt, square } from '../../graph/operators.js'
import type { ClassifierHead, Model, Naming, TensorShape } from '../architecture.js'
import { slotPositions } from '../batchInputs.js'
import type { Host } from '../host.js'
import { bareClassName } from '../modelOutputs.js'

type NamedShape = readonly [string, TensorShape]

/** The tensors of a linear layer. */
export const linearTensors = (name: string, out: number, input: number): readonly NamedShape[] => [
  [`${name}.weight`, [out, input]],
  [`${name}.bias`, [out]],
]

/** The head whose last linear layer has these tensors. @param before the tensors of `features` */
export const classifierHead = (
  last: string,
  {
    before = [],
    own,
    activation,
  }: { readonly before?: readonly NamedShape[]; readonly own: readonly NamedShape[] } & Pick<ClassifierHead, 'activation'>,
  features: (rows: Expression, host: Host) => Expression,
): ClassifierHead => ({
  tensors: new Map([...before, ...own]),
  features,
  last,
  outputs: (rows, host) => host.linear(last, features(rows, host)),
  activation,
})

const activations = { tanh, relu, gelu } as const

/** dropout → dense → activation → dropout → last, as most encoders have it. @param dropouts probabilities, and the site of the second if not its own */
export const denseHead =
  (
    h: number,
    [dense, last]: readonly [dense: string, last: string],
    activation: keyof typeof activations,
    { input = 0, hidden, site = 'head.hidden' }: { readonly input?: number; readonly hidden: number; readonly site?: string },
  ) =>
  (outputs: number): ClassifierHead =>
    classifierHead(last, { before: linearTensors(dense, h, h), own: linearTensors(last, outputs, h), activation }, (rows, host) =>
      host.dropout(site, activations[activation](host.linear(dense, host.dropout('head.input', rows, input))), hidden),
    )

type DecoderSizes = Pick<Model, 'vocabularySize' | 'paddingIndex'> & { readonly hiddenSize: number; readonly tied: boolean }

/**
 * What every decoder has: texts without special tokens, and the heads of transformers: `score` over classes, without a bias, and the words, whose
 * matrix may be the embedding table.
 */
export const decoderParts = (
  { hiddenSize, vocabularySize, paddingIndex, tied }: DecoderSizes,
  naming: Pick<Naming, 'prefix' | 'sequenceClassifier' | 'causal'>,
  wordTable: string,
  toLogits: (products: Expression) => Expression = (products) => products,
) =>
  ({
    vocabularySize,
    paddingIndex,
    firstPosition: 0,
    tokenTypes: false,
    specialTokens: null,
    naming: {
      ...naming,
      tokenizer: 'PreTrainedTokenizerFast',
      stored: (name) => (/^(lm_head|score)\./.test(name) ? name : `${naming.prefix}${name}`),
    },
    pooling: 'last',
    sequenceHead: (outputs) => classifierHead('score', { own: [['score.weight', [outputs, hiddenSize]]] }, (rows) => rows),
    causalHead: () => {
      const words = tied ? wordTable : 'lm_head.weight'
      const frozen = new Map(tied ? [] : [[words, [vocabularySize, hiddenSize]]])
      return { tensors: new Map(), frozen, words, toLogits, outputs: (rows, host) => toLogits(host.wordLogits(words, rows)) }
    },
    paddedPositions: slotPositions,
  }) satisfies Omit<Model, 'type' | 'spec' | 'hidden' | 'withDropout'>

/** Rows of length 1. x: [rows, width] → [rows, width] */
export const unitRows = (x: Expression): Expression => {
  const [rows = 1] = x.shape
  return div(x, reshape(sqrt(add(reduceSum(square(x), [-1]), tiny)), [rows, 1]))
}

/** A row of zeros stays one. */
const tiny = 1e-24

/**
 * A sentence encoder (Reimers and Gurevych, 2019): its classes are a linear layer on the embedding of a text, the mean of its tokens in length 1.
 * transformers has no class for it.
 */
export const sentenceEncoder = (model: Model): Model => ({
  ...model,
  naming: { ...model.naming, sequenceClassifier: bareClassName(model) },
  pooling: 'mean',
  sequenceHead: (outputs) => classifierHead('classifier', { own: linearTensors('classifier', outputs, model.spec.hiddenSize) }, unitRows),
  withDropout: (p) => sentenceEncoder(model.withDropout(p)),
})
