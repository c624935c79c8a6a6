"""Adapters as PEFT configures them: layers_to_transform, expressions, exclude_modules, trained biases. Every number of an adapter follows from its key's place.

    python golden_targets.py    writes fixtures/targets.json"""
import json
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from golden_models import draw_batches
from golden_training import all_logits, versions
from make_golden import FIXTURES

LORA = dict(r=2, lora_alpha=3)
IDS = [[3, 7, 12, 40, 9, 21], [30, 33, 5]]
CASES = {
    'layers': dict(bert=dict(target_modules=['query', 'dense'], layers_to_transform=[1]), llama=dict(target_modules=['q_proj', 'up_proj'], layers_to_transform=[1])),
    'pattern': dict(bert=dict(target_modules=['value'], layers_to_transform=0, layers_pattern='layer'), llama=dict(target_modules=['v_proj'], layers_to_transform=[0], layers_pattern=['blocks', 'layers'])),
    'expression': dict(bert=dict(target_modules=r'bert\.encoder\..*\.(query|intermediate\.dense)'), llama=dict(target_modules=r'model\.layers\.\d+\.self_attn\.[qk]_proj', exclude_modules=r'.*\.1\..*k_proj')),
    'biases': dict(bert=dict(target_modules=['query', 'intermediate.dense'], bias='lora_only'), llama=dict(target_modules=['v_proj'], bias='lora_only')),
    'excluded': dict(bert=dict(target_modules='all-linear', exclude_modules=['query', 'pooler.dense']), llama=dict(target_modules='all-linear', exclude_modules=['o_proj', 'layers.0.mlp.up_proj'])),
}


def formula(place, shape):
    numbers = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (0.2 * torch.sin(1.3 * numbers + 7 * place)).float().reshape(shape)


def opened(family):
    if family == 'bert':
        return AutoModelForSequenceClassification.from_pretrained(FIXTURES / family, attn_implementation='eager', dtype=torch.float32, num_labels=3)
    return AutoModelForCausalLM.from_pretrained(FIXTURES / family, attn_implementation='eager', dtype=torch.float32)


def make(family, settings):
    task = {'bert': 'SEQ_CLS', 'llama': 'CAUSAL_LM'}[family]
    model = get_peft_model(opened(family), LoraConfig(task_type=task, **LORA, **settings))
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        file = Path(folder) / 'adapter_model.safetensors'
        shapes = {key: list(tensor.shape) for key, tensor in sorted(load_file(file).items())}
        save_file({key: formula(place, shape) for place, (key, shape) in enumerate(shapes.items())}, file)
        config = json.loads((Path(folder) / 'adapter_config.json').read_text())
        loaded = PeftModel.from_pretrained(opened(family), folder).eval()
    if isinstance(config['target_modules'], list):
        config['target_modules'].sort()  # PEFT makes a set of it, of any order
    if family == 'bert':
        logits = all_logits(loaded, family, draw_batches(family))
    else:
        with torch.no_grad():
            logits = [loaded(input_ids=torch.tensor([ids])).logits[0, -1].tolist() for ids in IDS]
    return {'config': {key: value for key, value in config.items() if value is not None and value is not False and value != {}}, 'shapes': shapes, 'logits': logits}


if __name__ == '__main__':
    torch.set_num_threads(1)
    made = {name: {family: make(family, settings) for family, settings in families.items()} for name, families in CASES.items()}
    (FIXTURES / 'targets.json').write_text(json.dumps({'versions': versions(peft), 'ids': IDS, 'cases': made}) + '\n')
