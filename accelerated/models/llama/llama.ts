/** LLaMA (Touvron et al., 2023), Mistral, Qwen and Gemma: one decoder with a head over words and one over classes. */
import type { Expression } from '../../graph/expression.js'
import type { Architecture, Model } from '../architecture.js'
import { slotPositions } from '../batchInputs.js'
import { isRotaryBuffer } from '../buffers.js'
import { softCapped } from '../layers/softCap.js'
import { decoderConfig, type DecoderConfig } from './config.js'
import { decoder } from './decoder.js'
import { decoderFamilies, designOf } from './families.js'
import { specOf, wordTable } from './spec.js'

/** The model of these sizes. */
export const decoderModel = (config: DecoderConfig): Model => {
  const [causal, classifier] = designOf(config.family).classNames
  return {
    type: config.family,
    spec: specOf(config),
    vocabularySize: config.vocabularySize,
    paddingIndex: config.paddingIndex,
    firstPosition: 0,
    tokenTypes: false,
    specialTokens: null,
    naming: {
      prefix: 'model.',
      sequenceClassifier: `${classifier}ForSequenceClassification`,
      causal: `${causal}ForCausalLM`,
      tokenizer: 'PreTrainedTokenizerFast',
      stored: (name) => (/^(lm_head|score)\./.test(name) ? name : `model.${name}`),
    },
    ignored: isRotaryBuffer,
    hidden: (host, batch) => decoder(config, host, batch),
    pooling: 'last',
    sequenceHead: (outputs) => ({
      tensors: new Map([['score.weight', [outputs, config.hiddenSize]]]),
      outputs: (rows, host) => host.linear('score', rows),
    }),
    causalHead: () => {
      const words = config.tied ? wordTable : 'lm_head.weight'
      const frozen = new Map(config.tied ? [] : [['lm_head.weight', [config.vocabularySize, config.hiddenSize]]])
      const capped = (logits: Expression): Expression => softCapped(logits, config.logitCap)
      return { tensors: new Map(), frozen, words, capped, outputs: (rows, host) => capped(host.wordLogits(words, rows)) }
    },
    paddedPositions: slotPositions,
    withDropout: (p) => decoderModel({ ...config, attentionDropout: p }),
  }
}

export const llamaArchitecture: Architecture = {
  modelTypes: decoderFamilies,
  unread: { gemma3: 'model_type gemma3_text, a model of text alone (one of images and text is not read)' },
  open: (json, where) => decoderModel(decoderConfig(json, where)),
}
