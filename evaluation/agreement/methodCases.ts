/** The methods and losses beside SaLoRA that the reference derives by hand: their examples, and the reference's loss and gradients. */
import type { LabeledText } from '../../accelerated/objectives/labeledTokens.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import type { Model as AcceleratedModel } from '../../accelerated/models/architecture.js'
import type { MethodName, SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { rankingScale, sentenceEmbedding, type EmbeddingLoss } from '../../finetuning/tasks/embeddings/objective.js'
import { choice, choiceExample } from '../../finetuning/tasks/multipleChoice/objective.js'
import { kto, ratedExample, type KtoSettings } from '../../finetuning/tasks/preferences/kto.js'
import { preference, preferenceExample, preferenceLosses, type PreferenceLoss } from '../../finetuning/tasks/preferences/objective.js'
import { tokenClassification } from '../../finetuning/tasks/tokenClassification/objective.js'
import * as reference from '../../reference/index.js'
import type { AnswerLoss, DecoderConfig, EncoderConfig, ModelConfig, Tensor, Tensors, Texts } from '../../reference/index.js'
import { headOutputs, toExamples, toTaggedExamples, toTexts } from './convert.js'
import type { Model } from './drawModel.js'

/** A loss of the model's outputs, and its slope there: as `logits`. `base`: the logits of the model without its adapters. */
export type OutputLoss = (logits: Tensor, base: () => Tensor) => { readonly value: number; readonly bar: () => Tensor }

/** A loss as both derivations have it. */
export type LossCase = {
  readonly name: string
  readonly model: Model<ModelConfig>
  readonly objective: (model: AcceleratedModel, method: MethodOfCase) => Objective<never>
  readonly examples: readonly unknown[]
  readonly ofOutputs: OutputLoss
  /** where the outputs are not those of the drawn head: a head, and tensors that are not trained */
  readonly head?: Tensors
}

type MethodOfCase = { readonly train: { readonly trainsAll?: boolean } }

/** A method, with settings for models of a few numbers. */
export type MethodCase = {
  readonly name: string
  readonly settings: SettingsInput & { readonly method: MethodName }
  /** the increment's scale, of a low-rank method */
  readonly scale?: number
  /** the tensors along which its gradient is that of its loss; absent: all */
  readonly along?: RegExp
}

const lora = { rank: 2, loraAlpha: 3 } as const

/** On decoders, whose embeddings have noise in the reference. */
export const noisyLora: MethodCase = { name: 'lora, NEFTune', settings: { method: 'lora', ...lora, neftuneAlpha: 5 }, scale: 3 / 2 }

/** Methods that are low-rank increments, scale by vectors or change every weight: the reference has their gradients. AdaLoRA's penalty is compared elsewhere. */
export const derivedMethods: readonly MethodCase[] = [
  { name: 'lora', settings: { method: 'lora', ...lora }, scale: 3 / 2 },
  { name: 'lora, rsLoRA', settings: { method: 'lora', ...lora, useRslora: true }, scale: 3 / Math.SQRT2 },
  { name: 'adalora', settings: { method: 'adalora', initR: 2, targetR: 1, loraAlpha: 3, orthRegWeight: 0 }, scale: 3 / (2 + 1e-5) },
  { name: 'ia3', settings: { method: 'ia3' } },
  { name: 'full', settings: { method: 'full' }, scale: 1 },
]

/** Methods of which the reference has no derivation: their float64 graphs and central differences stand for it. */
export const methodsByDifferences: readonly MethodCase[] = [
  // DoRA's gradient takes the length of a row as a constant (section 4.3), so that differences along A and B see more than it.
  { name: 'lora, DoRA', settings: { method: 'lora', ...lora, useDora: true }, along: /magnitude$|^classifier|^pooler/ },
  { name: 'adalora, R', settings: { method: 'adalora', initR: 2, targetR: 1, loraAlpha: 3 } },
  { name: 'houlsby', settings: { method: 'houlsby', reductionFactor: 2 } },
  { name: 'pfeiffer', settings: { method: 'pfeiffer', reductionFactor: 2 } },
  { name: 'prefix', settings: { method: 'prefix', numVirtualTokens: 2 } },
  { name: 'prompt', settings: { method: 'prompt', numVirtualTokens: 2 } },
]

/** A loss of the logits beside what is right for them. */
const lossAgainst =
  <Right>(
    right: Right,
    loss: (logits: Tensor, right: Right) => number,
    vjp: (logits: Tensor, right: Right, bar: number) => Tensor,
  ): OutputLoss =>
  (z) => ({ value: loss(z, right), bar: () => vjp(z, right, 1) })

/** Losses of an encoder's head. */
export const encoderLosses = (draw: (taskType: EncoderConfig['taskType']) => Model): readonly LossCase[] => {
  const [classes, numbers, tokens] = [draw('classification'), draw('regression'), draw('tokens')]
  const sets = toExamples(classes.batch).map((example, i) => ({ ...example, labels: i % 2 === 0 ? [0, 1] : [] }))
  const isSet = sets.flatMap(({ labels }) => Array.from({ length: classes.config.labels }, (_, label) => labels.includes(label)))
  return [
    {
      ...{ name: 'classification', model: classes, examples: toExamples(classes.batch) },
      objective: (model) => sequenceClassification(model, headOutputs(classes.config)),
      ofOutputs: lossAgainst(classes.batch.labels, reference.crossEntropy, reference.crossEntropyVjp),
    },
    {
      ...{ name: 'multi-label', model: classes, examples: sets },
      objective: (model) => sequenceClassification(model, { labels: classes.config.labels, problemType: 'multi_label_classification' }),
      ofOutputs: lossAgainst(isSet, reference.binaryCrossEntropy, reference.binaryCrossEntropyVjp),
    },
    {
      ...{ name: 'regression', model: numbers, examples: toExamples(numbers.batch) },
      objective: (model) => sequenceClassification(model, headOutputs(numbers.config)),
      ofOutputs: lossAgainst(numbers.batch.labels, reference.meanSquaredError, reference.meanSquaredErrorVjp),
    },
    {
      ...{ name: 'tokens', model: tokens, examples: toTaggedExamples(tokens.batch) },
      objective: (model) => tokenClassification(model, tokens.config),
      ofOutputs: lossAgainst(tokens.batch.labels, reference.causalLoss, reference.causalLossVjp),
    },
    ...(['ranking', 'similarity'] as const).map((loss) => embeddingCase(tokens, loss)),
  ]
}

/** Pairs of the batch's texts, one after another. The reference's head passes the hidden states on. */
const embeddingCase = (drawn: Model, loss: EmbeddingLoss): LossCase => {
  const { inputIds, tokenTypeIds } = drawn.batch
  const lengths = inputIds.map(({ length }) => length)
  const pairs = Array.from({ length: lengths.length / 2 }, (_, i) => {
    const [a, b] = [2 * i, 2 * i + 1]
    const [first = 0, second = 0] = [lengths[a], lengths[b]]
    const types = tokenTypeIds === undefined ? {} : { tokenTypeIds: [...(tokenTypeIds[a] ?? []), ...(tokenTypeIds[b] ?? [])] }
    const ids = [...(inputIds[a] ?? []), ...(inputIds[b] ?? [])]
    return { inputIds: ids, ...types, ends: [first, first + second], score: Math.fround(0.7 - 0.4 * i), row: i + 1 }
  })
  const [evens, odds] = [pairs.map((_, i) => 2 * i), pairs.map((_, i) => 2 * i + 1)]
  const scores = pairs.map(({ score }) => score)
  const width = drawn.config.hiddenSize
  return {
    ...{ name: `embeddings, ${loss}`, model: { ...drawn, config: { ...drawn.config, labels: width } }, examples: pairs },
    head: { 'classifier.weight': reference.identity(width), 'classifier.bias': reference.filled([width], 0) },
    objective: (model) => sentenceEmbedding(model, loss),
    ofOutputs: (hidden) => {
      const all = reference.meanPool(hidden, lengths)
      const [first, second] = [reference.selectRows(all, evens), reference.selectRows(all, odds)]
      const value =
        loss === 'ranking' ? reference.rankingLoss(rankingScale, first, second) : reference.similarityLoss(first, second, scores)
      const bar = (): Tensor => {
        const bars =
          loss === 'ranking'
            ? reference.rankingLossVjp(rankingScale, first, second, 1)
            : reference.similarityLossVjp(first, second, scores, 1)
        return reference.meanPoolVjp(
          reference.add(reference.scatterRows(bars.first, evens, lengths.length), reference.scatterRows(bars.second, odds, lengths.length)),
          lengths,
        )
      }
      return { value, bar }
    },
  }
}

const ofPairs = { beta: 0.3, labelSmoothing: 0.1, gamma: 0.4 } as const
const ofRatings: KtoSettings = { beta: 0.3, desirableWeight: 1.5, undesirableWeight: 0.8 }

/** Losses of a decoder's texts. Four texts are two pairs. */
export const decoderLosses = (model: Model<DecoderConfig>): readonly LossCase[] => {
  const { labels } = model.batch
  const texts = toTexts(model.batch) as readonly LabeledText[]
  const lengths = texts.map(({ inputIds }) => inputIds.length)
  const pairs = Array.from({ length: texts.length / 2 }, (_, i) => [texts[2 * i], texts[2 * i + 1]] as [LabeledText, LabeledText])
  const rightLabels = texts.flatMap(({ targets }, i) => Array.from(targets, (label) => (i % 2 === 0 ? label : reference.unlabeled)))
  const answerLoss = (reduction: Texts['reduction'], loss: (own: readonly number[], base: readonly number[]) => AnswerLoss): OutputLoss => {
    const all: Texts = { lengths, labels, reduction }
    return (logits, base) => {
      const { value, slopes } = loss(reference.answerLogs(logits, all), reference.answerLogs(base(), all))
      return { value, bar: () => reference.answerLogsVjp(logits, all, slopes) }
    }
  }
  const ofLabels = (of: readonly number[]) => lossAgainst(of, reference.causalLoss, reference.causalLossVjp)
  return [
    { name: 'text', model, examples: texts, objective: (own, method) => causalLM(own, method), ofOutputs: ofLabels(labels) },
    {
      ...{ name: 'choice', model, ofOutputs: ofLabels(rightLabels) },
      examples: pairs.map((pair, i) => choiceExample(i + 1, pair, { right: 0, lengths: [1, 1] })),
      objective: (own, method) => choice(own, method),
    },
    ...preferenceLosses.map(
      (loss: PreferenceLoss): LossCase => ({
        ...{ name: loss, model },
        examples: pairs.map(([chosen, rejected], i) => preferenceExample(i + 1, chosen, rejected)),
        objective: (own, method) => preference(own, { ...ofPairs, loss }, method),
        ofOutputs: answerLoss(loss === 'dpo' ? 'sum' : 'mean', (own, base) => reference.preferenceLoss({ ...ofPairs, loss }, own, base)),
      }),
    ),
    {
      ...{ name: 'kto', model },
      examples: pairs.map(([answer, mismatched], i) => ratedExample(i + 1, { answer, mismatched, isDesirable: i % 2 === 0 })),
      objective: (own, method) => kto(own, ofRatings, method),
      ofOutputs: answerLoss('sum', (own, base) =>
        reference.ratedLoss(
          ofRatings,
          pairs.map((_, i) => i % 2 === 0),
          own,
          base,
        ),
      ),
    },
  ]
}
