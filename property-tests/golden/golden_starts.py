"""fixtures/bert/starts.json: LoRA that starts from the model's own matrices (PiSSA, OLoRA), from its inputs (EVA) and from its rounding (LoftQ), by PEFT.

    python golden_starts.py"""
import json
import sys

sys.dont_write_bytecode = True

import numpy as np
import peft
import torch
from peft import EvaConfig, LoraConfig, get_peft_model, initialize_lora_eva_weights
from peft.tuners.lora import eva
from peft.tuners.lora.eva import prepare_layer_inputs_fn_language_modeling
from peft.utils.loftq_utils import _low_rank_decomposition
from safetensors.torch import load_file

from golden_models import open_model
from golden_training import logits, train, versions
from make_golden import FIXTURES

BASE = FIXTURES / 'bert'
TARGETS = ['query', 'key', 'intermediate.dense', 'output.dense']
LORA = dict(r=3, lora_alpha=5)
BATCHES = json.loads((BASE / 'golden.json').read_text())['batches']


def lora(**settings):
    torch.manual_seed(0)
    config = LoraConfig(task_type='SEQ_CLS', modules_to_save=['classifier', 'pooler'], target_modules=TARGETS, lora_dropout=0.0, **{**LORA, **settings})
    return get_peft_model(open_model('bert', BASE, torch.float32), config).train()


def numbers(tensor):
    return [float(f'{x:.8g}') for x in tensor.detach().double().flatten().tolist()]


def factors(model):
    """By our names."""
    found = {}
    for key, tensor in model.named_parameters():
        if '.lora_' in key:
            name, factor = key.split('base_model.model.bert.')[1].split('.lora_')
            found[f'{name}.{factor[0]}'] = numbers(tensor)
    return found


def residual(name, folder):
    model = lora(init_lora_weights=name)
    start = {key: tensor for key, tensor in factors(model).items() if key.startswith('encoder.layer.0.') and 'attention.output' not in key}
    before = [row for batch in BATCHES for row in logits(model, 'bert', batch)]
    model.peft_config['default'].init_lora_weights = True
    model.save_pretrained(folder / 'start')
    losses, _ = train(model, 'bert', BATCHES, 8)
    model.save_pretrained(folder / 'trained', path_initial_model_for_weight_conversion=str(folder / 'start'))
    config = json.loads((folder / 'trained' / 'adapter_config.json').read_text())
    converted = load_file(folder / 'trained' / 'adapter_model.safetensors')
    key = 'base_model.model.bert.encoder.layer.1.output.dense.lora_'
    return {
        'start': start, 'logits': before, 'losses': losses, 'finalLogits': [row for batch in BATCHES for row in logits(model, 'bert', batch)],
        'converted': {'r': config['r'], 'lora_alpha': config['lora_alpha'], 'product': numbers(converted[f'{key}B.weight'].double() @ converted[f'{key}A.weight'].double())},
    }


def by_inputs():
    """PEFT's SVD is random and approximate; here it is exact. Padding is no input."""
    incremental = eva.IncrementalPCA
    eva.IncrementalPCA = lambda **options: incremental(**{**options, 'lowrank': False, 'lowrank_seed': None})
    model = lora(r=4, init_lora_weights='eva', eva_config=EvaConfig(rho=2.0, tau=0.99))

    def feeds(batch):
        length = max(map(len, batch['inputIds']))
        pad = lambda rows: torch.tensor([row + [0] * (length - len(row)) for row in rows])
        return {'input_ids': pad(batch['inputIds']), 'token_type_ids': pad(batch['tokenTypeIds']), 'attention_mask': pad([[1] * len(row) for row in batch['inputIds']])}

    initialize_lora_eva_weights(
        model, dataloader=[feeds(batch) for batch in BATCHES], prepare_model_inputs_fn=lambda inputs, _: inputs['attention_mask'].nonzero(),
        prepare_layer_inputs_fn=prepare_layer_inputs_fn_language_modeling, show_progress_bar=False)
    return {'A': {key: tensor for key, tensor in factors(model).items() if key.endswith('.A')}}


def four_bits(W):
    """As METHOD of int4: a row's s is max / 120; each block of 32 has the k from -15 to 15 and the q from -8 to 7 of least squared error in s k q."""
    W, rounded = W.numpy().astype(np.float32), np.zeros(W.shape, np.float64)
    for row, values in enumerate(W):
        s = np.float32(np.abs(values).max() / np.float32(120))
        for start in range(0, len(values), 32):
            block = values[start:start + 32].astype(np.float64)
            candidates = [float(s) * k * np.clip(np.round(block / (float(s) * k)), -8, 7) for size in range(1, 16) for k in (size, -size)]
            rounded[row, start:start + 32] = min(candidates, key=lambda one: ((one - block) ** 2).sum())
    return torch.tensor(rounded)


def by_rounding():
    weights = load_file(BASE / 'model.safetensors')
    W = weights['bert.encoder.layer.0.intermediate.dense.weight']
    decomposed = _low_rank_decomposition(W.double() - four_bits(W), LORA['r'])  # the first iteration of loftq_init
    return {'A': numbers(decomposed['R']), 'B': numbers(decomposed['L'])}


if __name__ == '__main__':
    import pathlib
    import tempfile
    with tempfile.TemporaryDirectory() as scratch:
        found = {name: residual(name, pathlib.Path(scratch) / name) for name in ('pissa', 'olora')}
    golden = {'versions': versions(peft), 'settings': {**LORA, 'targets': TARGETS}, **found, 'eva': by_inputs(), 'loftq': by_rounding()}
    (BASE / 'starts.json').write_text(json.dumps(golden) + '\n')
