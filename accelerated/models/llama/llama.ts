/** LLaMA (Touvron et al., 2023) and its closest kin, Mistral and Qwen; what all families of its kind share: one decoder, a head over words, and one over classes. */
import { decoderParts } from '../layers/classifierHead.js'
import type { Architecture, Model } from '../architecture.js'
import { isRotaryBuffer } from '../layers/rotary.js'
import { softCapped } from '../layers/gelu.js'
import { decoderConfig } from './config.js'
import { decoder, buildSpec, wordTable } from './decoder.js'
import { llama, queriesAndValues, type DecoderConfig, type FamilyDesign } from './family.js'
import { decoderGguf } from './gguf.js'

type Decoder = Model & Required<Pick<Model, 'causalHead'>>

/** The model of these sizes. */
export const decoderModel = (
  config: DecoderConfig,
  family: Pick<FamilyDesign, 'modelType' | 'classNames' | 'ia3Targets'> = llama,
): Decoder => {
  const { classNames, ia3Targets } = family
  const [causal, classifier] = classNames
  const naming = { prefix: 'model.', sequenceClassifier: `${classifier}ForSequenceClassification`, causal: `${causal}ForCausalLM` }
  return {
    ...decoderParts(config, naming, wordTable, (products) => softCapped(products, config.logitCap)),
    type: family.modelType,
    spec: { ...buildSpec(config), ...(ia3Targets === undefined ? {} : { ia3Targets }) },
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

/** Mistral (2023): LLaMA with a window in every layer. In llama.cpp it is LLaMA. */
export const mistral: FamilyDesign = { ...llama, modelType: 'mistral', classNames: ['Mistral', 'Mistral'], windowed: 'everywhere' }

const mistralEntry = decoderArchitecture(mistral)

export const mistralArchitecture: Architecture = { ...mistralEntry, gguf: { ...mistralEntry.gguf, read: null } }

/** Ministral (2024): windows in the layers that a file names, or in all. In llama.cpp it is LLaMA. */
export const ministral: FamilyDesign = {
  ...{ ...llama, modelType: 'ministral', classNames: ['Ministral', 'Ministral'], windowed: 'enabled' },
  defaults: { ...llama.defaults, use_sliding_window: true, max_window_layers: 0, max_position_embeddings: 131_072 },
}

const ministralEntry = decoderArchitecture(ministral)

export const ministralArchitecture: Architecture = {
  ...ministralEntry,
  unread: { ministral3: 'model_type ministral or mistral (Ministral 3 scales queries by their positions)' },
  gguf: { ...ministralEntry.gguf, read: null },
}

/** Qwen2 (Yang et al., 2024) and Qwen3 (2025): LLaMA with windows in upper layers if a file enables them, and with biases or with norms of queries and keys. */
export const qwen2: FamilyDesign = {
  ...{ ...llama, modelType: 'qwen2', classNames: ['Qwen2', 'Qwen2'], windowed: 'enabled', attentionBiases: 'queryKeyValue' },
  ia3Targets: queriesAndValues,
  gguf: { architecture: 'qwen2', interleaved: false, windows: false },
}

export const qwen3: FamilyDesign = {
  ...{ ...llama, modelType: 'qwen3', classNames: ['Qwen3', 'Qwen3'], windowed: 'enabled', queryKeyNorms: true },
  ia3Targets: queriesAndValues,
  defaults: { ...llama.defaults, head_dim: 128 },
  gguf: { architecture: 'qwen3', interleaved: false, windows: false },
}

export const qwen2Architecture: Architecture = decoderArchitecture(qwen2)
export const qwen3Architecture: Architecture = decoderArchitecture(qwen3)
