/** LLaMA (Touvron et al., 2023), and what families of its kind share: one decoder with a head over words and one over classes. */
import { decoderParts } from '../layers/classifierHead.js'
import type { Architecture, Model } from '../architecture.js'
import { isRotaryBuffer } from '../layers/rotary.js'
import { softCapped } from '../layers/gelu.js'
import { decoderConfig } from './config.js'
import { decoder, buildSpec, wordTable } from './decoder.js'
import { llama, type DecoderConfig, type FamilyDesign } from './family.js'
import { decoderGguf } from './gguf.js'

type Decoder = Model & Required<Pick<Model, 'causalHead'>>

/** The model of these sizes. */
export const decoderModel = (config: DecoderConfig, family: Pick<FamilyDesign, 'modelType' | 'classNames'> = llama): Decoder => {
  const [causal, classifier] = family.classNames
  const naming = { prefix: 'model.', sequenceClassifier: `${classifier}ForSequenceClassification`, causal: `${causal}ForCausalLM` }
  return {
    ...decoderParts(config, naming, wordTable, (products) => softCapped(products, config.logitCap)),
    type: family.modelType,
    spec: buildSpec(config),
    ignored: isRotaryBuffer,
    hidden: (host, batch) => decoder(config, host, batch),
    withDropout: (p) => decoderModel({ ...config, attentionDropout: p }, family),
  }
}

/** The entry of a family of LLaMA's kind. @param config reads its config.json */
export const decoderArchitecture = (
  design: FamilyDesign,
  config = (json: object, where: string): DecoderConfig => decoderConfig(design, json, where),
) =>
  ({
    modelTypes: [design.modelType],
    open: (json: object, where: string) => decoderModel(config(json, where), design),
    gguf: decoderGguf(design, config),
  }) satisfies Architecture

export const llamaArchitecture: Architecture = decoderArchitecture(llama)
