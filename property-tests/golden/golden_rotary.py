"""Rotary frequencies of transformers, and the factor of cosines and sines: fixtures/rotary.json has them of decoders' config.json files with every scaling.

The library makes its frequencies in float32; here they are made by the same functions in float64.

    python golden_rotary.py
"""
import json
from pathlib import Path

import torch
import transformers
from transformers import LlamaConfig, Qwen3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

CLASSES = {'llama': LlamaConfig, 'qwen3': Qwen3Config}
SIZES = dict(vocab_size=9, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, intermediate_size=8)
YARN = dict(rope_type='yarn', factor=4.0, original_max_position_embeddings=1024)
CASES = [
    {'model_type': 'llama', 'max_position_embeddings': 2048},
    {'model_type': 'llama', 'max_position_embeddings': 2048, 'rope_theta': 7e5, 'rope_scaling': {'type': 'linear', 'factor': 3.0}},
    {'model_type': 'llama', 'max_position_embeddings': 8192, 'rope_scaling': {
        'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0, 'original_max_position_embeddings': 256}},
    # Qwen3's own, without a rope_type in the older spelling
    {'model_type': 'qwen3', 'max_position_embeddings': 4096, 'head_dim': 32, 'rope_theta': 1e6, 'rope_scaling': {
        'type': 'yarn', 'factor': 4.0, 'original_max_position_embeddings': 1024}},
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_scaling': YARN},
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_scaling': {**YARN, 'beta_fast': 8.0, 'beta_slow': 2.0}},
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_scaling': {**YARN, 'truncate': False}},
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_scaling': {**YARN, 'attention_factor': 0.9}},
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_scaling': {**YARN, 'mscale': 0.7, 'mscale_all_dim': 0.4}},
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_scaling': {**YARN, 'mscale': 0.7}},
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_scaling': {**YARN, 'beta_fast': 0, 'beta_slow': None}},
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_scaling': {**YARN, 'factor': None, 'original_max_position_embeddings': 512}},
    {'model_type': 'llama', 'max_position_embeddings': 512, 'rope_scaling': {'rope_type': 'yarn', 'factor': 0.5}},
    # the line begins and ends at one pair, and is cut off at both ends of a head
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_scaling': {**YARN, 'beta_fast': 1.0, 'beta_slow': 1.0, 'truncate': False}},
    {'model_type': 'llama', 'max_position_embeddings': 4096, 'rope_theta': 1.5, 'rope_scaling': {**YARN, 'original_max_position_embeddings': 64}},
    # both keys: the older one counts
    {'model_type': 'llama', 'max_position_embeddings': 64, 'rope_theta': 5.0, 'rope_scaling': {'type': 'linear', 'factor': 2.0},
     'rope_parameters': {'rope_type': 'default', 'rope_theta': 50.0}},
    {'model_type': 'llama', 'max_position_embeddings': 64, 'rope_theta': 5.0, 'rope_parameters': {'rope_type': 'linear', 'factor': 2.0, 'rope_theta': 50.0}},
]


def in_float64(make):
    single, torch.float, linear = torch.float, torch.float64, torch.float32
    torch.float32 = torch.float64  # of YaRN's line
    try:
        return make()
    finally:
        torch.float, torch.float32 = single, linear


def rotary(case):
    json_keys = {key: value for key, value in case.items() if key != 'model_type'}
    config = CLASSES[case['model_type']](**SIZES, **json.loads(json.dumps(json_keys)))
    kind = config.rope_parameters['rope_type']
    init = Qwen3RotaryEmbedding.compute_default_rope_parameters if kind == 'default' else ROPE_INIT_FUNCTIONS[kind]
    frequencies, factor = in_float64(lambda: init(config))
    assert frequencies.dtype == torch.float64, (case, frequencies.dtype)
    module = Qwen3RotaryEmbedding(config)  # its own, in float32
    cosines, _ = module(torch.zeros(1), torch.arange(3)[None])
    assert torch.allclose(cosines[0, -1, : len(frequencies)].double(), (frequencies * 2).cos() * factor, atol=2e-3), case
    assert torch.allclose(module.inv_freq.double(), frequencies, rtol=1e-6), case
    return {**case, **SIZES}, frequencies.tolist(), float(factor)


def write(path):
    cases = [dict(zip(('config', 'frequencies', 'factor'), rotary(case))) for case in CASES]
    path.write_text(json.dumps({'versions': {'torch': torch.__version__, 'transformers': transformers.__version__}, 'cases': cases}) + '\n')


if __name__ == '__main__':
    write(Path(__file__).parent / 'fixtures' / 'rotary.json')
