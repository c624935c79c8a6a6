/**
 * The embedded model: its architecture, its pre-training settings, and its folder in Hugging Face layout.
 * The folder embedded/ holds this model, the scripts that made it and the quickstart; the embedded dataset is in ../data.
 */
import { join } from 'node:path'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { encoderModel } from '../../accelerated/models/bert/bert.js'
import type { EncoderConfig } from '../../accelerated/models/bert/config.js'
import { maskedLM, type Masking } from '../../accelerated/objectives/maskedLM.js'
import { methodOf, resolveSettings } from '../../accelerated/training/settings.js'
import { assemble, layoutOf } from '../../accelerated/training/assembly.js'
import { tensorOf, type Vector } from '../../accelerated/parameters/vectors.js'

export const embeddedConfig: EncoderConfig = {
  family: 'roberta',
  vocabularySize: 8192,
  hiddenSize: 256,
  embeddingSize: 256,
  layers: 4,
  heads: 4,
  intermediateSize: 1024,
  maxPositions: 258,
  tokenTypes: 1,
  layerNormEpsilon: 1e-5,
  activation: 'gelu',
  paddingIndex: 1,
  hiddenDropout: 0.1,
  attentionDropout: 0.1,
  headDropout: 0.1,
}

/** The ids of RoBERTa's special tokens; ids from 4 up to the mask are ordinary tokens. */
export const special = { start: 0, end: 2, mask: embeddedConfig.vocabularySize - 1 } as const

export const masking: Masking = { share: 0.15, mask: special.mask, ordinary: { from: 4, to: special.mask } }

/** The maximum tokens of a line, without `<s>` and `</s>`. */
export const longestLine = 126

const settings = resolveSettings({
  method: 'full',
  seed: 20231017,
  batchSize: 160,
  maxLength: longestLine + 2,
  learningRate: 1e-3,
  warmupRatio: 0.06,
  weightDecay: 0.01,
  adamBeta2: 0.98,
  adamEpsilon: 1e-6,
  maxGradNorm: 1,
  dropout: 0,
})

/** The assembly of pre-training: full fine-tuning of a new model by masked-language modeling. */
export const pretraining = (overrides: { readonly maxSteps?: number; readonly evalSteps?: number; readonly threads?: number } = {}) => {
  const frozen = (name: string): never => {
    throw new Error(`pretraining: expected every tensor to be trained, got ${name} frozen`)
  }
  const parts = { method: methodOf('full'), settings: { ...settings, ...overrides }, precision: precisionOf('float32'), frozen }
  return assemble({ ...parts, model: encoderModel(embeddedConfig) }, (model) => maskedLM(model, masking))
}

/** Writes model.safetensors and config.json of these parameters. @param dtype the repository holds F16 */
export const writeEmbeddedModel = async (folder: string, phase: unknown, parameters: Vector, dtype: 'F16' | 'F32'): Promise<void> => {
  const layout = layoutOf(pretraining(), phase)
  const { naming } = encoderModel(embeddedConfig)
  const tensors = new Map(
    layout.entries.map(({ name, shape }) => [naming.stored(name), { dtype, shape, data: tensorOf(layout, parameters, name) }]),
  )
  await writeFileAtomically(join(folder, 'model.safetensors'), writeSafetensors(tensors, { format: 'pt' }))
  await writeFileAtomically(join(folder, 'config.json'), `${JSON.stringify(configJson(dtype), null, 2)}\n`)
}

/** config.json as transformers writes it for RobertaForMaskedLM. */
const configJson = (dtype: 'F16' | 'F32'): object => ({
  architectures: ['RobertaForMaskedLM'],
  model_type: 'roberta',
  vocab_size: embeddedConfig.vocabularySize,
  hidden_size: embeddedConfig.hiddenSize,
  num_hidden_layers: embeddedConfig.layers,
  num_attention_heads: embeddedConfig.heads,
  intermediate_size: embeddedConfig.intermediateSize,
  max_position_embeddings: embeddedConfig.maxPositions,
  type_vocab_size: embeddedConfig.tokenTypes,
  layer_norm_eps: embeddedConfig.layerNormEpsilon,
  hidden_act: 'gelu',
  pad_token_id: embeddedConfig.paddingIndex,
  bos_token_id: special.start,
  eos_token_id: special.end,
  hidden_dropout_prob: embeddedConfig.hiddenDropout,
  attention_probs_dropout_prob: embeddedConfig.attentionDropout,
  position_embedding_type: 'absolute',
  torch_dtype: dtype === 'F16' ? 'float16' : 'float32',
})
