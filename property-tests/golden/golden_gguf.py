"""fixtures/{llama,mistral,qwen2}/base.gguf: the decoders' checkpoints as the `gguf` package (PyPI, 0.19) writes them, in float32, for llama.cpp.

The names are those of the package, the order of rows and the factors of Llama 3's rotation are those of llama.cpp's convert_hf_to_gguf.py. The vocabulary has names
and one merge: the tests give token ids. Mistral's window is left out, since llama.cpp has none for it.

    python golden_gguf.py
"""
import json
import math
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

FIXTURES = Path(__file__).parent / 'fixtures'


def permuted(weights, heads):
    """LlamaModel.permute of convert_hf_to_gguf.py"""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def rope_factors(config, rope):
    size = config['head_dim']
    for frequency in 1.0 / rope['rope_theta'] ** (np.arange(0, size, 2, dtype=np.float32) / size):
        wave = 2 * math.pi / frequency
        low, high, old = rope['low_freq_factor'], rope['high_freq_factor'], rope['original_max_position_embeddings']
        if wave < old / high:
            yield 1
        elif wave > old / low:
            yield rope['factor']
        else:
            smooth = (old / wave - low) / (high - low)
            yield 1 / ((1 - smooth) / rope['factor'] + smooth)


def write(family):
    folder = FIXTURES / family
    config = json.loads((folder / 'config.json').read_text())
    architecture = 'qwen2' if family == 'qwen2' else 'llama'
    heads, key_heads = config['num_attention_heads'], config['num_key_value_heads']
    size = config.get('head_dim') or config['hidden_size'] // heads
    rope = config['rope_parameters']
    writer = gguf.GGUFWriter(folder / 'base.gguf', architecture)
    writer.add_name(f'golden {family}')
    writer.add_block_count(config['num_hidden_layers'])
    writer.add_context_length(config['max_position_embeddings'])
    writer.add_embedding_length(config['hidden_size'])
    writer.add_feed_forward_length(config['intermediate_size'])
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(rope['rope_theta'])
    writer.add_layer_norm_rms_eps(config['rms_norm_eps'])
    writer.add_vocab_size(config['vocab_size'])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if rope['rope_type'] == 'linear':
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope['factor'])
    specials = ['<unk>', '<s>', '</s>']
    writer.add_tokenizer_model('gpt2')
    writer.add_tokenizer_pre('default')
    writer.add_token_list(specials + [f'w{i}' for i in range(3, config['vocab_size'])])
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (config['vocab_size'] - 3))
    writer.add_token_merges(['w 3'])  # llama.cpp wants some
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2 if family == 'qwen2' else gguf.MODEL_ARCH.LLAMA, config['num_hidden_layers'])
    for name, weights in load_file(folder / 'model.safetensors').items():
        weights = weights.astype(np.float32)
        if family != 'qwen2' and name.endswith('q_proj.weight'):
            weights = permuted(weights, heads)
        if family != 'qwen2' and name.endswith('k_proj.weight'):
            weights = permuted(weights, key_heads)
        writer.add_tensor(names.get_name(name, try_suffixes=('.weight', '.bias')), np.ascontiguousarray(weights))
    if rope['rope_type'] == 'llama3':
        writer.add_tensor('rope_freqs.weight', np.array(list(rope_factors(config, rope)), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == '__main__':
    for family in ('llama', 'mistral', 'qwen2'):
        write(family)
