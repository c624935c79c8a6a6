/** The names of a decoder's tensors in llama.cpp, and the order of rows that it has there. */
import type { Model } from '../../models/architecture.js'

/** llama.cpp's architecture by our family. Mistral is LLaMA there. */
const architectures: Readonly<Record<string, string>> = {
  ...{ llama: 'llama', mistral: 'llama', qwen2: 'qwen2', qwen3: 'qwen3', gpt2: 'gpt2', phi3: 'phi3' },
  ...{ gemma2: 'gemma2', gemma3_text: 'gemma3' },
}

/** The name of the model's architecture in llama.cpp; undefined if we write none of its family. */
export const ggufArchitecture = ({ type }: Pick<Model, 'type'>): string | undefined => architectures[type]

const ofLayers: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'ffn_norm',
  'self_attn.qkv_proj': 'attn_qkv',
  'mlp.gate_up_proj': 'ffn_up',
  'attn.c_attn': 'attn_qkv',
  'attn.c_proj': 'attn_output',
  'mlp.c_fc': 'ffn_up',
  'mlp.c_proj': 'ffn_down',
  ln_1: 'attn_norm',
  ln_2: 'ffn_norm',
}
/** Where Gemma's name is another family's name of another norm. */
const ofGemma: Readonly<Record<string, string>> = {
  post_attention_layernorm: 'post_attention_norm',
  pre_feedforward_layernorm: 'ffn_norm',
  post_feedforward_layernorm: 'post_ffw_norm',
}
const others: Readonly<Record<string, string>> = {
  ...{ embed_tokens: 'token_embd', norm: 'output_norm', lm_head: 'output' },
  ...{ wte: 'token_embd', wpe: 'position_embd', ln_f: 'output_norm' },
}

/** `layers.3.self_attn.q_proj.weight` → `blk.3.attn_q.weight`. @throws Error for a tensor that no decoder has */
export const ggufName = (name: string, { type }: Pick<Model, 'type'>): string => {
  const [, layer, module = '', kind = ''] = /^(?:(?:layers|h)\.(\d+)\.)?([\w.]+)\.(weight|bias)$/.exec(name) ?? []
  const inLayers = type.startsWith('gemma') ? { ...ofLayers, ...ofGemma } : ofLayers
  const known = layer === undefined ? others[module] : inLayers[module]
  if (known === undefined) throw new Error(`ggufName: expected a tensor of a decoder, got ${name}`)
  return layer === undefined ? `${known}.${kind}` : `blk.${layer}.${known}.${kind}`
}

/**
 * llama.cpp rotates neighboring rows of a head, and Hugging Face's code rotates halves. So its files of LLaMA and Mistral have W_Q and W_K in
 * another order. Qwen2 and Qwen3 rotate halves there too. → the size of a head if `matrix` is reordered, else null
 */
export const permutedHeads = ({ type, spec }: Pick<Model, 'type' | 'spec'>, matrix: string): number | null =>
  ggufArchitecture({ type }) === 'llama' && /\.self_attn\.[qk]_proj$/.test(matrix) ? (spec.layers[0]?.headSize ?? null) : null

/** Numbers, or bytes that hold them: a width is then in bytes. */
type Rows = Float32Array | Float64Array | Uint8Array

/** Rows 0, h/2, 1, h/2 + 1, … of each head of h rows. data: [rows, width] → [rows, width] */
export const interleaveHeads = <T extends Rows>(data: T, width: number, headSize: number): T =>
  movedRows(data, width, (row) => {
    const [inHead, half] = [row % headSize, headSize / 2]
    return row - inHead + (inHead % 2) * half + Math.floor(inHead / 2)
  })

/** The inverse of interleaveHeads. */
export const separateHeads = <T extends Rows>(data: T, width: number, headSize: number): T =>
  movedRows(data, width, (row) => {
    const [inHead, half] = [row % headSize, headSize / 2]
    return row - inHead + (inHead % half) * 2 + Math.floor(inHead / half)
  })

/** @param from the row of `data` that comes to a row of the result */
const movedRows = <T extends Rows>(data: T, width: number, from: (row: number) => number): T => {
  const moved = data.slice() as T
  for (let row = 0; row * width < data.length; row++) moved.set(data.subarray(from(row) * width, (from(row) + 1) * width), row * width)
  return moved
}
