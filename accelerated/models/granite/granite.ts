/** Granite (IBM, 2024): LLaMA with factors of embeddings, scores and sublayers, and a divisor of logits. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import type { Expression } from '../../graph/expression.js'
import { mul } from '../../graph/operators.js'
import type { Architecture, Model } from '../architecture.js'
import { fractionKeys } from '../gguf.js'
import type { Host } from '../host.js'
import { scaled } from '../layers/gelu.js'
import { decoderConfig } from '../llama/config.js'
import { llama, type DecoderConfig, type FamilyDesign } from '../llama/family.js'
import { decoderArchitecture, decoderModel } from '../llama/llama.js'

const granite: FamilyDesign = {
  ...{ ...llama, modelType: 'granite', classNames: ['Granite', 'Granite'] },
  gguf: { architecture: 'granite', interleaved: true, windows: false },
}

const factor = z.number().positive().default(1)
const schema = z.object({
  embedding_multiplier: factor,
  attention_multiplier: factor,
  residual_multiplier: factor,
  logits_scaling: factor,
})
type Factors = z.infer<typeof schema>

const readFactors = (json: object, where: string): Factors => validate(schema, json, where, 'a decoder')

const graniteConfig = (json: object, where: string): DecoderConfig => ({
  ...decoderConfig(granite, json, where),
  scoreScale: readFactors(json, where).attention_multiplier,
})

const graniteModel = (config: DecoderConfig, factors: Factors): Model => {
  const model = decoderModel(config, granite)
  const toLogits = (products: Expression): Expression => scaled(products, 1 / factors.logits_scaling)
  return {
    ...model,
    spec: { ...model.spec, supportedHooks: ['embedded'] }, // a prefix was never compared: PEFT has none for the fixture's heads
    hidden: (host, batch) => model.hidden(scaledHost(host, factors), batch),
    causalHead: () => {
      const head = model.causalHead()
      return { ...head, toLogits, outputs: (rows, host) => toLogits(head.outputs(rows, host)) }
    },
    withDropout: (p) => graniteModel({ ...config, attentionDropout: p }, factors),
  }
}

/** Virtual tokens are scaled too, as in transformers. */
const scaledHost = (host: Host, { embedding_multiplier: words, residual_multiplier: sublayers }: Factors): Host => ({
  ...host,
  embedded: (x, batch) => mul(host.embedded(x, batch), words),
  sublayer: (name, x, around) => scaled(host.sublayer(name, x, around), sublayers),
})

const entry = decoderArchitecture(granite, graniteConfig)

export const graniteArchitecture: Architecture = {
  ...entry,
  open: (json, where) => graniteModel(graniteConfig(json, where), readFactors(json, where)),
  gguf: {
    ...entry.gguf,
    write: (json, where) => {
      const { keys, factors } = entry.gguf.write(json, where)
      const { embedding_multiplier, attention_multiplier, residual_multiplier, logits_scaling } = readFactors(json, where)
      const scales = {
        embedding_scale: embedding_multiplier,
        'attention.scale': attention_multiplier,
        residual_scale: residual_multiplier,
        logit_scale: logits_scaling,
      }
      return { keys: [...keys, ...fractionKeys(scales)], factors }
    },
    /** llama.cpp takes 0 as absent. */
    read: (file) => {
      const config = entry.gguf.read(file)
      return {
        ...config,
        embedding_multiplier: file.number('embedding_scale') || 1,
        attention_multiplier: file.number('attention.scale') || 1 / Math.sqrt(config.head_dim),
        residual_multiplier: file.number('residual_scale') || 1,
        logits_scaling: file.number('logit_scale') || 1,
      }
    },
  },
}
