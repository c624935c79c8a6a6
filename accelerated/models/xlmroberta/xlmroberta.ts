/** XLM-RoBERTa (Conneau et al., 2020): RoBERTa's encoder and head with a vocabulary of a hundred languages and a unigram tokenizer. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import type { Architecture, Model } from '../architecture.js'
import { encoderModel } from '../bert/bert.js'
import { encoderConfig, type EncoderConfig } from '../bert/config.js'

const schema = z.object({ model_type: z.literal('xlm-roberta') })

const xlmRobertaModel = (config: EncoderConfig): Model => {
  const roberta = encoderModel(config)
  return {
    ...roberta,
    type: 'xlm-roberta',
    naming: {
      ...roberta.naming,
      sequenceClassifier: 'XLMRobertaForSequenceClassification',
      tokenClassifier: 'XLMRobertaForTokenClassification',
      tokenizer: 'XLMRobertaTokenizer',
    },
    withDropout: (p) => xlmRobertaModel({ ...config, hiddenDropout: p, attentionDropout: p, headDropout: p }),
  }
}

export const xlmRobertaArchitecture: Architecture = {
  modelTypes: ['xlm-roberta'],
  open: (json, where) => {
    validate(schema, json, where, 'an encoder')
    return xlmRobertaModel(encoderConfig({ ...json, model_type: 'roberta' }, where))
  },
  gguf: null,
}
