"""Token classification under PEFT: the logits, the loss and gradients of ForTokenClassification with a LoRA adapter, and the adapter as PEFT saves it.

    python golden_token_classes.py             fixtures/FAMILY/token-classification (peft 0.21, transformers 5, as make_golden.py has it)
"""
import json
import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model

from golden_models import CLASSES, in_float64, normal, padded
from golden_training import trained, versions

FIXTURES = Path(__file__).parent / 'fixtures'
CLASS_COUNT = 5
TARGETS = {'distilbert': ['q_lin', 'v_lin'], 'mpnet': ['q', 'v'], 'modernbert': ['Wqkv'], 'deberta-v2': ['query_proj', 'value_proj'], 'deberta-v2-plain': ['query_proj', 'value_proj']}


def label(text, token, length):
    """Special tokens at the ends and every third token have none."""
    return -100 if token in (0, length - 1) or token % 3 == 2 else (3 * text + token) % CLASS_COUNT


def token_class(family):
    return getattr(transformers, CLASSES[family].__name__.replace('ForSequenceClassification', 'ForTokenClassification'))


def adapted(family, dtype):
    model = token_class(family).from_pretrained(FIXTURES / family, attn_implementation='eager', num_labels=CLASS_COUNT, ignore_mismatched_sizes=True)
    saved = ['classifier', 'head'] if family == 'modernbert' else None  # PEFT's own choice for TOKEN_CLS: classifier and score
    model = get_peft_model(model, LoraConfig(task_type='TOKEN_CLS', r=2, lora_alpha=6, lora_dropout=0.0, target_modules=TARGETS.get(family, ['query', 'value']), modules_to_save=saved))
    with torch.no_grad():
        for name, parameter in trained(model).items():
            parameter.copy_(normal(f'tokens {name}', parameter.shape, 0.2))
    return model.to(dtype).eval()


def make(family):
    folder = FIXTURES / family / 'token-classification'
    shutil.rmtree(folder, ignore_errors=True)
    in_float64(family)
    batch = json.loads((FIXTURES / family / 'golden.json').read_text())['batches'][0]
    inputs = padded(family, batch)
    labels = torch.full(inputs['input_ids'].shape, -100)
    for text, ids in enumerate(batch['inputIds']):
        for token in range(len(ids)):
            labels[text, token] = label(text, token, len(ids))
    model = adapted(family, torch.float64)
    output = model(**inputs, labels=labels)
    output.loss.backward()
    gradients = {name: p.grad.flatten().tolist() for name, p in trained(model).items() if 'classifier' in name or '0' in name}
    model = adapted(family, torch.float32)
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.save_pretrained(folder)
    (folder / 'README.md').unlink(missing_ok=True)
    (folder / 'adapter_model.safetensors').chmod(0o644)
    golden = {
        'versions': versions(peft), 'labels': [labels[text, : len(ids)].tolist() for text, ids in enumerate(batch['inputIds'])],
        'logits': [output.logits[text, : len(ids)].flatten().tolist() for text, ids in enumerate(batch['inputIds'])],
        'loss': output.loss.item(), 'gradients': gradients,
    }
    (folder / 'golden.json').write_text(json.dumps(golden) + '\n')


if __name__ == '__main__':
    torch.set_num_threads(1)
    for name in sys.argv[1:] or list(CLASSES):
        make(name)
        print(name)
