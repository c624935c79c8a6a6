"""fixtures/gguf.json: numbers that the `gguf` package quantized to Q8_0, and its numbers of random bytes of each type that salora reads.
fixtures/quantized.gguf: a decoder with a matrix in each of these types.

fixtures/{llama,mistral,ministral,qwen2,qwen3,gemma,gemma2,gemma3,granite,olmo2,smollm3,gpt2,phi3}/base.gguf: the decoders' checkpoints as the `gguf` package (PyPI, 0.19) writes them, in float32, for llama.cpp.

The names are those of the package, the order of rows and the factors of Llama 3's rotation are those of llama.cpp's convert_hf_to_gguf.py. The vocabulary has names
and one merge: the tests give token ids. Mistral's window is left out, since llama.cpp has none for it.

    python golden_gguf.py
"""
import base64
import hashlib
import json
import math
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

FIXTURES = Path(__file__).parent / 'fixtures'


# llama.cpp's architecture of each family. It has one for LLaMA and Mistral.
ARCHITECTURES = {'llama': 'llama', 'mistral': 'llama', 'qwen2': 'qwen2', 'qwen3': 'qwen3', 'gpt2': 'gpt2', 'phi3': 'phi3', 'gemma2': 'gemma2', 'gemma3': 'gemma3', 'granite': 'granite', 'gemma': 'gemma', 'ministral': 'llama', 'olmo2': 'olmo2', 'smollm3': 'smollm3'}


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
    writer = gguf.GGUFWriter(folder / 'base.gguf', ARCHITECTURES[family])
    writer.add_name(f'golden {family}'.replace('phi3', 'phi 3'))  # by the other name, llama.cpp expects Phi-3's own tokens
    for name, weights in {'gpt2': gpt2, 'phi3': phi3}.get(family, llama)(writer, family, config, load_file(folder / 'model.safetensors')):
        writer.add_tensor(name, np.ascontiguousarray(weights.astype(np.float32)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gpt2(writer, family, config, tensors):
    """Gpt2's part of convert_hf_to_gguf.py: the matrices that transformers stores as [in, out] are transposed."""
    writer.add_block_count(config['n_layer'])
    writer.add_context_length(config['n_positions'])
    writer.add_embedding_length(config['n_embd'])
    writer.add_feed_forward_length(config['n_inner'])
    writer.add_head_count(config['n_head'])
    writer.add_layer_norm_eps(config['layer_norm_epsilon'])
    write_kind(writer, config)
    write_tokenizer(writer, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, config['n_layer'])
    for name, weights in tensors.items():
        turned = name.endswith(('c_attn.weight', 'c_proj.weight', 'c_fc.weight'))
        yield names.get_name(name, try_suffixes=('.weight', '.bias')), weights.T if turned else weights


def phi3(writer, family, config, tensors):
    """Phi-3's part of convert_hf_to_gguf.py."""
    heads, rope = config['num_attention_heads'], config['rope_parameters']
    original = config['original_max_position_embeddings']
    writer.add_block_count(config['num_hidden_layers'])
    writer.add_context_length(config['max_position_embeddings'])
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_embedding_length(config['hidden_size'])
    writer.add_feed_forward_length(config['intermediate_size'])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config['num_key_value_heads'])
    writer.add_layer_norm_rms_eps(config['rms_norm_eps'])
    writer.add_rope_dimension_count(int(rope['partial_rotary_factor'] * config['hidden_size']) // heads)
    writer.add_rope_freq_base(rope['rope_theta'])
    writer.add_sliding_window(config['sliding_window'] or 0)
    scale = config['max_position_embeddings'] / original
    writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
    write_kind(writer, config)
    write_tokenizer(writer, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.PHI3, config['num_hidden_layers'])
    yield 'rope_factors_long.weight', np.array(rope['long_factor'])
    yield 'rope_factors_short.weight', np.array(rope['short_factor'])
    for name, weights in tensors.items():
        yield names.get_name(name, try_suffixes=('.weight', '.bias')), weights


def llama(writer, family, config, tensors):
    architecture = ARCHITECTURES[family]
    turned, offset = architecture in ('llama', 'granite', 'smollm3'), 1 if architecture.startswith('gemma') else 0
    heads, key_heads = config['num_attention_heads'], config['num_key_value_heads']
    size = config.get('head_dim') or config['hidden_size'] // heads
    rope = config['rope_parameters']
    rope = rope.get('full_attention', rope)
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
    if architecture in ('gemma2', 'gemma3'):
        writer.add_sliding_window(config['sliding_window'])
        for key in ('attn_logit_softcapping', 'final_logit_softcapping'):
            if config[key] is not None:
                writer.add_float32(f'{architecture}.{key}', config[key])
    if architecture == 'granite':
        writer.add_embedding_scale(config['embedding_multiplier'])
        writer.add_attention_scale(config['attention_multiplier'])
        writer.add_residual_scale(config['residual_multiplier'])
        writer.add_logit_scale(config['logits_scaling'])
    if architecture == 'gemma3':
        writer.add_float32('gemma3.rope.freq_base_swa', config['rope_parameters']['sliding_attention']['rope_theta'])
    write_kind(writer, config)
    if rope['rope_type'] == 'linear':
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope['factor'])
    write_tokenizer(writer, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config['num_hidden_layers'])
    for name, weights in tensors.items():
        if turned and name.endswith('q_proj.weight'):
            weights = permuted(weights, heads)
        if turned and name.endswith('k_proj.weight'):
            weights = permuted(weights, key_heads)
        if name.endswith('norm.weight'):
            weights = weights + offset
        yield names.get_name(name, try_suffixes=('.weight', '.bias')), weights
    if rope['rope_type'] == 'llama3':
        yield 'rope_freqs.weight', np.array(list(rope_factors(config, rope)), dtype=np.float32)


def write_kind(writer, config):
    writer.add_vocab_size(config['vocab_size'])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def write_tokenizer(writer, config):
    specials = ['<unk>', '<s>', '</s>']
    writer.add_tokenizer_model('gpt2')
    writer.add_tokenizer_pre('gpt-2')
    writer.add_token_list(specials + [f'w{i}' for i in range(3, config['vocab_size'])])
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (config['vocab_size'] - 3))
    writer.add_token_merges(['w 3'])  # llama.cpp wants some
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def rounded_apart(random):
    """Blocks whose levels a division by the scale would round otherwise than the product with its inverse."""
    found = random.standard_normal((200000, 32), dtype=np.float32)
    scale = np.abs(found).max(axis=1, keepdims=True) / 127
    apart = (gguf.quants.np_roundf(found * (1 / scale)) != gguf.quants.np_roundf(found / scale)).any(axis=1)
    return found[apart][:6]


def blocks():
    """Normal numbers of many sizes, zeros, halves between levels, and numbers below float16's smallest."""
    random = np.random.default_rng(1)
    normal = random.standard_normal((24, 32), dtype=np.float32) * np.float32(10) ** random.integers(-6, 4, (24, 1)).astype(np.float32)
    halves = np.array([[127, *(i + 0.5 for i in range(-15, 16))], [254, *(i + 1 for i in range(-40, 22, 2))]], dtype=np.float32)
    tiny = np.full((1, 32), 1e-9, dtype=np.float32)
    return np.concatenate([normal, rounded_apart(random), np.zeros((1, 32), dtype=np.float32), halves, tiny, np.full((1, 32), -0.7, dtype=np.float32)])


# Where a block has its float16 scales.
SCALES = {'Q4_0': [0], 'Q4_1': [0, 2], 'Q5_0': [0], 'Q5_1': [0, 2], 'Q8_0': [0], 'Q4_K': [0, 2], 'Q5_K': [0, 2], 'Q6_K': [208], 'F16': [0], 'BF16': []}


def numbers_of(name):
    """Random bytes, with scales that are finite."""
    kind = gguf.GGMLQuantizationType[name]
    random = np.random.default_rng(len(name))
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    count = max(6, 256 // elements)
    data = random.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES[name]:
        data[:, at:at + 2] = (random.standard_normal((count, 1)) * 0.1).astype(np.float16).view(np.uint8)
    if name == 'BF16':
        data = random.standard_normal((count, 1), dtype=np.float32).view(np.uint8)[:, 2:]
    data = np.ascontiguousarray(data)
    return {'id': kind.value, 'bytes': text(data), 'numbers': text(gguf.quants.dequantize(data, kind).astype(np.float32))}


# A decoder of one layer with a matrix in each type, by the names of Hugging Face.
QUANTIZED = {
    'model.embed_tokens.weight': ('BF16', (8, 256)), 'lm_head.weight': ('F16', (8, 256)), 'model.norm.weight': ('F32', (256,)),
    'model.layers.0.input_layernorm.weight': ('F32', (256,)), 'model.layers.0.post_attention_layernorm.weight': ('F32', (256,)),
    'model.layers.0.self_attn.q_proj.weight': ('Q4_K', (16, 256)), 'model.layers.0.self_attn.k_proj.weight': ('Q6_K', (8, 256)),
    'model.layers.0.self_attn.v_proj.weight': ('Q4_0', (8, 256)), 'model.layers.0.self_attn.o_proj.weight': ('F16', (256, 16)),
    'model.layers.0.mlp.gate_proj.weight': ('Q4_1', (32, 256)), 'model.layers.0.mlp.up_proj.weight': ('Q8_0', (32, 256)),
    'model.layers.0.mlp.down_proj.weight': ('Q4_0', (256, 32)),
}


def unpermuted(weights, heads):
    """The inverse of `permuted`, as transformers' LlamaTensorProcessor has it."""
    return weights.reshape(heads, weights.shape[0] // heads // 2, 2, *weights.shape[1:]).swapaxes(2, 1).reshape(weights.shape)


def write_quantized():
    """fixtures/quantized.gguf. -> a digest of each tensor's float32 numbers in Hugging Face's order of rows"""
    writer = gguf.GGUFWriter(FIXTURES / 'quantized.gguf', 'llama')
    for add, value in ((writer.add_block_count, 1), (writer.add_context_length, 64), (writer.add_embedding_length, 256), (writer.add_feed_forward_length, 32),
                       (writer.add_head_count, 2), (writer.add_head_count_kv, 1), (writer.add_key_length, 8), (writer.add_value_length, 8)):
        add(value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model('gpt2')
    writer.add_tokenizer_pre('gpt-2')
    writer.add_token_list(['<s>', '</s>', *'abcd', 'ab', 'abc'])
    writer.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * 6)
    writer.add_token_merges(['a b', 'ab c'])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
    random = np.random.default_rng(7)
    digests = {}
    for name, (type_name, shape) in QUANTIZED.items():
        kind = gguf.GGMLQuantizationType[type_name]
        if type_name == 'F32':
            data = random.standard_normal(shape, dtype=np.float32)
            numbers = data
        else:
            elements, size = gguf.GGML_QUANT_SIZES[kind]
            data = random.integers(0, 256, (shape[0] * shape[1] // elements, size), dtype=np.uint8)
            for at in SCALES[type_name]:
                data[:, at:at + 2] = (random.standard_normal((len(data), 1)) * 0.1).astype(np.float16).view(np.uint8)
            if type_name == 'BF16':
                data = random.standard_normal((len(data), 1), dtype=np.float32).view(np.uint8)[:, 2:]
            data = np.ascontiguousarray(data).reshape(shape[0], -1)
            numbers = gguf.quants.dequantize(data, kind).astype(np.float32)
        if name.endswith(('q_proj.weight', 'k_proj.weight')):
            numbers = unpermuted(numbers, 2 if name.endswith('q_proj.weight') else 1)
        digests[name] = hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()
        tensor = names.get_name(name, try_suffixes=('.weight',))
        if type_name in ('F32', 'F16'):
            writer.add_tensor(tensor, data if type_name == 'F32' else data.view(np.float16))
        else:
            writer.add_tensor(tensor, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return digests


def write_numbers():
    given = blocks()
    quantized = gguf.quants.quantize(given, gguf.GGMLQuantizationType.Q8_0)
    found = {'quantized': {'numbers': text(given), 'bytes': text(quantized)}, 'dequantized': {name: numbers_of(name) for name in SCALES}, 'digests': write_quantized()}
    (FIXTURES / 'gguf.json').write_text(json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
    write_numbers()
    for family in ARCHITECTURES:
        write(family)
