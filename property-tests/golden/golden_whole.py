"""Adapters of PEFT that change more than matrices of layers: LoRA on embed_tokens and lm_head, modules_to_save beside a head, resized tables. Every number of an adapter follows from its key's place.

llama's output matrix is its own, qwen3's is the table of embeddings. Where PEFT ties what it trains, the output matrix has the numbers of the embeddings.

    python golden_whole.py    writes fixtures/whole.json"""
import json
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from golden_models import draw_batches
from golden_targets import IDS, LORA, formula, opened
from golden_training import all_logits, versions
from make_golden import FIXTURES

DECODERS = ['llama', 'qwen3']
LAYERS = ['q_proj', 'down_proj']
CASES = {
    'lookup': (DECODERS, dict(target_modules=['embed_tokens', *LAYERS])),
    'output': (DECODERS, dict(target_modules=['lm_head', *LAYERS])),
    'both': (DECODERS, dict(target_modules=['embed_tokens', 'lm_head', *LAYERS], use_rslora=True, rank_pattern={'embed_tokens': 3}, alpha_pattern={'lm_head': 5})),
    'tied': (['qwen3'], dict(target_modules=['embed_tokens', *LAYERS], ensure_weight_tying=True)),
    'savedLookup': (DECODERS, dict(target_modules=LAYERS, modules_to_save=['embed_tokens'])),
    'savedOutput': (DECODERS, dict(target_modules=LAYERS, modules_to_save=['lm_head'])),
    'savedBoth': (DECODERS, dict(target_modules=LAYERS, modules_to_save=['embed_tokens', 'lm_head'])),
    'savedTied': (['qwen3'], dict(target_modules=LAYERS, modules_to_save=['embed_tokens'], ensure_weight_tying=True)),
    'savedLayers': (DECODERS, dict(target_modules=LAYERS, modules_to_save=['norm', 'v_proj'])),
    'resized': (DECODERS, dict(target_modules=LAYERS)),
    'words': (['bert'], dict(target_modules=['word_embeddings', 'query'])),
    'saved': (['bert'], dict(target_modules=['query'], modules_to_save=['word_embeddings', 'LayerNorm', 'key'])),
}


def base(name, family):
    model = opened(family)
    if name == 'resized':
        model.resize_token_embeddings(53)
    return model


def fill(name, shapes):
    tensors = {key: formula(place, shape) for place, (key, shape) in enumerate(shapes.items())}
    if name in ('tied', 'savedTied'):
        embedded, output = 'base_model.model.model.embed_tokens.', 'base_model.model.lm_head.'
        copies = {'weight': 'weight'} if name == 'savedTied' else {'lora_A.weight': 'lora_embedding_B', 'lora_B.weight': 'lora_embedding_A'}
        for own, other in copies.items():
            tensors[output + own] = tensors[embedded + other].T.contiguous() if 'lora' in own else tensors[embedded + other].clone()
    return tensors


def make(name, family, settings):
    task = {'bert': 'SEQ_CLS'}.get(family, 'CAUSAL_LM')
    model = get_peft_model(base(name, family), LoraConfig(task_type=task, **LORA, **settings))
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    tied = family == 'qwen3'
    with tempfile.TemporaryDirectory() as folder:
        # PEFT writes the tables too where it adapts one, or where they were resized. One table of two modules cannot have two formulas.
        adapts = name == 'lookup' or (name in ('output', 'both') and not tied)
        model.save_pretrained(folder, save_embedding_layers='auto' if adapts else name == 'resized')
        file = Path(folder) / 'adapter_model.safetensors'
        shapes = {key: list(tensor.shape) for key, tensor in sorted(load_file(file).items()) if not (tied and name == 'resized' and 'lm_head' in key)}
        save_file(fill(name, shapes), file)
        config = json.loads((Path(folder) / 'adapter_config.json').read_text())
        loaded = PeftModel.from_pretrained(base(name, family), folder).eval()
    for key in ('target_modules', 'modules_to_save'):
        if isinstance(config[key], list):
            config[key].sort()  # PEFT makes a set of it, of any order
    if family == 'bert':
        logits = all_logits(loaded, family, draw_batches(family))
    else:
        with torch.no_grad():
            logits = [loaded(input_ids=torch.tensor([ids])).logits[0, -1].tolist() for ids in IDS]
    return {'config': {key: value for key, value in config.items() if value is not None and value is not False and value != {}}, 'shapes': shapes, 'logits': logits}


if __name__ == '__main__':
    torch.set_num_threads(1)
    made = {name: {family: make(name, family, settings) for family in families} for name, (families, settings) in CASES.items()}
    (FIXTURES / 'whole.json').write_text(json.dumps({'versions': versions(peft), 'ids': IDS, 'cases': made}) + '\n')
