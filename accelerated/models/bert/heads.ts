/** Heads on the encoder's hidden states: the sequence heads of RoBERTa and BERT, the token head, and RoBERTa's masked-language-model head. */
import { add, gelu, layerNormalization, tanh } from '../../graph/operators.js'
import type { Head, TensorShape } from '../architecture.js'
import type { EncoderConfig } from './config.js'
import { wordTable } from './spec.js'

/** The tensors of a linear layer. */
export const linearTensors = (name: string, out: number, input: number): readonly (readonly [string, TensorShape])[] => [
  [`${name}.weight`, [out, input]],
  [`${name}.bias`, [out]],
]

/** RoBERTa: dropout → classifier.dense → tanh → dropout → classifier.out_proj. BERT: pooler.dense → tanh → dropout → classifier. */
export const sequenceHead =
  ({ family, hiddenSize: h, headDropout }: EncoderConfig) =>
  (outputs: number): Head =>
    family === 'roberta'
      ? {
          tensors: new Map([...linearTensors('classifier.dense', h, h), ...linearTensors('classifier.out_proj', outputs, h)]),
          outputs: (rows, host) => {
            const inner = tanh(host.linear('classifier.dense', host.dropout('head.input', rows, headDropout)))
            return host.linear('classifier.out_proj', host.dropout('head.hidden', inner, headDropout))
          },
          activation: 'tanh',
        }
      : {
          tensors: new Map([...linearTensors('pooler.dense', h, h), ...linearTensors('classifier', outputs, h)]),
          outputs: (rows, host) =>
            host.linear('classifier', host.dropout('head.input', tanh(host.linear('pooler.dense', rows)), headDropout)),
          activation: 'tanh',
        }

/** dropout → classifier, for every token: the head of most families. x: [tokens, hidden] → [tokens, outputs] */
export const tokenHead =
  (hiddenSize: number, dropout: number) =>
  (outputs: number): Head => ({
    tensors: new Map(linearTensors('classifier', outputs, hiddenSize)),
    outputs: (rows, host) => host.linear('classifier', host.dropout('head.input', rows, dropout)),
  })

/** dense → gelu → norm, then a decoder tied to the word embeddings: [masked, hidden] → [masked, vocabulary] */
export const maskedHead = ({ hiddenSize: h, vocabularySize, layerNormEpsilon }: EncoderConfig): Head => ({
  tensors: new Map<string, TensorShape>([
    ...linearTensors('lm_head.dense', h, h),
    ['lm_head.layer_norm.weight', [h]],
    ['lm_head.layer_norm.bias', [h]],
    ['lm_head.bias', [vocabularySize]],
  ]),
  outputs: (rows, host) => {
    const [scale, bias] = [host.tensor('lm_head.layer_norm.weight'), host.tensor('lm_head.layer_norm.bias')]
    const transformed = layerNormalization(gelu(host.linear('lm_head.dense', rows)), scale, bias, layerNormEpsilon)
    return add(host.wordLogits(wordTable, transformed), host.tensor('lm_head.bias'))
  },
})
