/** Heads on the encoder's hidden states: the sequence heads of RoBERTa and BERT, the token head, and RoBERTa's masked-language-model head. */
import { add, gelu } from '../../graph/operators.js'
import type { ClassifierHead, Head, TensorShape } from '../architecture.js'
import { classifierHead, denseHead, linearTensors } from '../layers/classifierHead.js'
import { layerNorm, normTensors } from '../layers/layerNorm.js'
import type { EncoderConfig } from './config.js'
import { wordTable } from './spec.js'

/** RoBERTa: dropout → classifier.dense → tanh → dropout → classifier.out_proj. BERT: pooler.dense → tanh → dropout → classifier. */
export const sequenceHead = ({ family, hiddenSize, headDropout }: EncoderConfig) =>
  family === 'roberta'
    ? denseHead(hiddenSize, ['classifier.dense', 'classifier.out_proj'], 'tanh', { input: headDropout, hidden: headDropout })
    : denseHead(hiddenSize, ['pooler.dense', 'classifier'], 'tanh', { hidden: headDropout, site: 'head.input' })

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
