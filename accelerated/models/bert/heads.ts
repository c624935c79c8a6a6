/** Heads on the encoder's hidden states: the sequence heads of RoBERTa and BERT, the token head, and RoBERTa's masked-language-model head. */
import { add, gelu, tanh } from '../../graph/operators.js'
import type { ClassifierHead, Head, TensorShape } from '../architecture.js'
import { classifierHead, linearTensors } from '../layers/classifierHead.js'
import { layerNorm, normTensors } from '../layers/layerNorm.js'
import type { EncoderConfig } from './config.js'
import { wordTable } from './spec.js'

/** RoBERTa: dropout → classifier.dense → tanh → dropout → classifier.out_proj. BERT: pooler.dense → tanh → dropout → classifier. */
export const sequenceHead =
  ({ family, hiddenSize: h, headDropout }: EncoderConfig) =>
  (outputs: number): ClassifierHead =>
    family === 'roberta'
      ? classifierHead(
          'classifier.out_proj',
          { before: linearTensors('classifier.dense', h, h), own: linearTensors('classifier.out_proj', outputs, h), activation: 'tanh' },
          (rows, host) =>
            host.dropout('head.hidden', tanh(host.linear('classifier.dense', host.dropout('head.input', rows, headDropout))), headDropout),
        )
      : classifierHead(
          'classifier',
          { before: linearTensors('pooler.dense', h, h), own: linearTensors('classifier', outputs, h), activation: 'tanh' },
          (rows, host) => host.dropout('head.input', tanh(host.linear('pooler.dense', rows)), headDropout),
        )

/** dropout → classifier, for every token: the head of most families. x: [tokens, hidden] → [tokens, outputs] */
export const tokenHead =
  (hiddenSize: number, dropout: number) =>
  (outputs: number): ClassifierHead =>
    classifierHead('classifier', { own: linearTensors('classifier', outputs, hiddenSize) }, (rows, host) =>
      host.dropout('head.input', rows, dropout),
    )

/** dense → gelu → norm, then a decoder tied to the word embeddings: [masked, hidden] → [masked, vocabulary] */
export const maskedHead = ({ hiddenSize: h, vocabularySize, layerNormEpsilon }: EncoderConfig): Head => ({
  tensors: new Map<string, TensorShape>([
    ...linearTensors('lm_head.dense', h, h),
    ...normTensors('lm_head.layer_norm', h),
    ['lm_head.bias', [vocabularySize]],
  ]),
  outputs: (rows, host) => {
    const transformed = layerNorm(host, 'lm_head.layer_norm', layerNormEpsilon)(gelu(host.linear('lm_head.dense', rows)))
    return add(host.wordLogits(wordTable, transformed), host.tensor('lm_head.bias'))
  },
})
