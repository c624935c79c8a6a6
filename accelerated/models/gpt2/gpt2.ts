/** GPT-2 (Radford et al., 2019): one matrix for queries, keys and values, and every matrix of a layer stored as [in, out]. */
import type { Architecture } from '../architecture.js'
import type { GptNames } from '../gpt/config.js'
import { gptModel, type GptFamily } from '../gpt/model.js'
import { gpt2Config } from './config.js'
import { gpt2Gguf } from './gguf.js'

const names: GptNames = {
  words: 'wte',
  positions: 'wpe',
  positionOffset: 0,
  layer: (i) => `h.${i}`,
  within: {
    attentionNorm: 'ln_1',
    queryKeyValue: ['attn.c_attn'],
    attentionOutput: 'attn.c_proj',
    feedForwardNorm: 'ln_2',
    up: 'mlp.c_fc',
    down: 'mlp.c_proj',
  },
  norm: 'ln_f',
}

const family: GptFamily = {
  type: 'gpt2',
  names,
  prefix: 'transformer.',
  embeddingDropout: true,
  classes: { sequenceClassifier: 'GPT2ForSequenceClassification', causal: 'GPT2LMHeadModel' },
  transposed: (tensor) => /^h\.\d+\.(attn|mlp)\.c_\w+\.weight$/.test(tensor),
  ignored: (tensor) => /^h\.\d+\.attn\.(masked_)?bias$/.test(tensor), // the mask of later tokens, which old checkpoints have
}

export const gpt2Architecture: Architecture = {
  modelTypes: ['gpt2'],
  open: (json, where) => gptModel(family, gpt2Config(json, where)),
  gguf: gpt2Gguf,
}
