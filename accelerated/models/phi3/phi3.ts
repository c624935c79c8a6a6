/** Phi-3 and Phi-4 (Abdin et al., 2024): LLaMA's layers with one matrix for queries, keys and values, and one for gate and up. */
import type { Architecture, Model } from '../architecture.js'
import { fusedHost, fusedSpec, type FusedNames } from '../layers/fusedMatrices.js'
import { decoder } from '../llama/decoder.js'
import type { DecoderConfig } from '../llama/family.js'
import { decoderModel } from '../llama/llama.js'
import { specOf } from '../llama/spec.js'
import { phi3Config } from './config.js'
import { phi3Gguf } from './gguf.js'

const fusedNames: FusedNames = {
  'self_attn.qkv_proj': ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  'mlp.gate_up_proj': ['mlp.gate_proj', 'mlp.up_proj'],
}

const phi3Model = (config: DecoderConfig): Model => {
  const [ofLlama, inParts] = [decoderModel(config, { modelType: 'phi3', classNames: ['Phi3', 'Phi3'] }), specOf(config)]
  return {
    ...ofLlama,
    spec: fusedSpec(inParts, fusedNames),
    hidden: (host, batch) => decoder(config, fusedHost(host, inParts, fusedNames), batch),
    withDropout: (p) => phi3Model({ ...config, attentionDropout: p }),
  }
}

export const phi3Architecture: Architecture = {
  modelTypes: ['phi3'],
  open: (json, where) => phi3Model(phi3Config(json, where)),
  gguf: phi3Gguf,
}
