/** ELECTRA (Clark et al., 2020): BERT's encoder with embeddings of their own width, and RoBERTa's head with a GELU. */
import { z } from 'zod'
import type { Architecture, Model } from '../architecture.js'
import { encoderModel } from '../bert/bert.js'
import { encoderConfig, size, type EncoderConfig } from '../bert/config.js'
import { encoderNaming } from '../bert/spec.js'
import { denseHead } from '../layers/classifierHead.js'
import { validate } from '../../errors/validate.js'

const schema = z.object({ model_type: z.literal('electra'), hidden_size: size(65_536), embedding_size: size(65_536).optional() })

const parseConfig = (json: object, where: string): EncoderConfig => {
  const { embedding_size: embeddingSize, hidden_size: hiddenSize } = validate(schema, json, where, 'an encoder')
  return { ...encoderConfig({ ...json, model_type: 'bert' }, where), embeddingSize: embeddingSize ?? hiddenSize }
}

const electraModel = (config: EncoderConfig): Model => {
  const { hiddenSize: h, headDropout } = config
  const { maskedHead: _, ...encoder } = encoderModel(config)
  return {
    ...encoder,
    type: 'electra',
    naming: encoderNaming('electra', 'Electra'),
    sequenceHead: denseHead(h, ['classifier.dense', 'classifier.out_proj'], 'gelu', { input: headDropout, hidden: headDropout }),
    withDropout: (p) => electraModel({ ...config, hiddenDropout: p, attentionDropout: p, headDropout: p }),
  }
}

export const electraArchitecture: Architecture = {
  modelTypes: ['electra'],
  open: (json, where) => electraModel(parseConfig(json, where)),
  gguf: null,
}
