/** Phi-3 and Phi-4 (Abdin et al., 2024): LLaMA's layers with one matrix for queries, keys and values, and one for gate and up. */
import type { Architecture, Model } from '../architecture.js'
import { fusedHost, fusedSpec, type FusedNames } from '../layers/fusedMatrices.js'
import type { DecoderConfig } from '../llama/config.js'
import { decoder } from '../llama/decoder.js'
import { decoderModel } from '../llama/llama.js'
import { specOf } from '../llama/spec.js'
import { phi3Config } from './config.js'

const fusedNames: FusedNames = {
  'self_attn.qkv_proj': ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  'mlp.gate_up_proj': ['mlp.gate_proj', 'mlp.up_proj'],
}

const phi3Model = (config: DecoderConfig): Model => {
  const [ofLlama, inParts] = [decoderModel(config), specOf(config)]
  return {
    ...ofLlama,
    type: 'phi3',
    spec: fusedSpec(inParts, fusedNames),
    naming: { ...ofLlama.naming, sequenceClassifier: 'Phi3ForSequenceClassification', causal: 'Phi3ForCausalLM' },
    hidden: (host, batch) => decoder(config, fusedHost(host, inParts, fusedNames), batch),
    withDropout: (p) => phi3Model({ ...config, attentionDropout: p }),
  }
}

export const phi3Architecture: Architecture = {
  modelTypes: ['phi3'],
  open: (json, where) => phi3Model(phi3Config(json, where)),
}
