"""Plain LoRA under PEFT: the first step's logits, loss and gradients, 20 steps of AdamW, and an adapter with patterns as PEFT saves it."""
import json

import peft
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from golden_gated import gated_step
from golden_models import SEED, draw_batches, in_float64, open_model, write_model
from golden_training import DTYPES, in_both, logits, optimization, randomize, train, versions, well_conditioned

LORA = dict(rank=4, alpha=8)
TARGETS = r'.*encoder\.layer\.\d+\.(attention\.self\.(query|key|value)|attention\.output\.dense|intermediate\.dense|output\.dense)'
DEBERTA = r'.*encoder\.layer\.\d+\.(attention\.self\.(pos_)?(query|key|value)_proj|attention\.output\.dense|intermediate\.dense|output\.dense)'
TARGETS_OF = {'deberta-v2': DEBERTA, 'deberta-v2-plain': DEBERTA, 'mpnet': r'.*layer\.\d+\.(attention\.attn\.[qkvo]|(intermediate|output)\.dense)', 'distilbert': r'.*transformer\.layer\.\d+\.(attention\.(q|k|v|out)_lin|ffn\.lin[12])', 'modernbert': r'.*layers\.\d+\.(attn\.(Wqkv|Wo)|mlp\.(Wi|Wo))'}
# PEFT freezes BERT's pooler unless it is named; ours trains it as part of the head.
SAVED = {'roberta': ['classifier'], 'bert': ['classifier', 'pooler'], 'distilbert': ['pre_classifier', 'classifier'], 'electra': ['classifier'], 'mpnet': ['classifier'], 'xlm-roberta': ['classifier'], 'deberta-v2': ['classifier', 'pooler'], 'deberta-v2-plain': ['classifier', 'pooler'], 'modernbert': ['head', 'classifier']}


def lora(family, folder, **settings):
    settings = {'r': LORA['rank'], 'lora_alpha': LORA['alpha'], 'target_modules': TARGETS_OF.get(family, TARGETS), **settings}
    model = get_peft_model(open_model(family, folder, torch.float32), LoraConfig(task_type='SEQ_CLS', modules_to_save=list(SAVED[family]), lora_dropout=0.0, **settings))
    # B is not left 0: the gradient of A would be.
    randomize(model, {'.A': 0.2, '.B': 0.2})
    return model.train()


def make(family, folder, _):
    folder.mkdir(parents=True, exist_ok=True)
    write_model(family, folder)
    in_float64(family)
    batches = draw_batches(family)
    gated_tensors = {}

    def run(model, dtype):
        start = logits(model, family, batches[0])
        losses, gradients = train(model, family, batches)
        found = {'logits': start, 'losses': losses, 'finalLogits': logits(model, family, batches[0])}
        if family != 'roberta':
            return found, gradients
        found['gated'], gated = gated_step(open_model(family, folder, torch.float32), family, batches[0], LORA, DTYPES[dtype])
        gated_tensors.update({name if name.startswith('gated/') else f'{dtype}/gated/{name}': t for name, t in gated.items()})
        return found, gradients

    recorded, tensors, _ = in_both(lambda: lora(family, folder), run)
    tensors.update(gated_tensors)
    golden = {'versions': versions(peft), 'seed': SEED, 'lora': {**LORA, **optimization()}, 'batches': batches, **recorded}
    well_conditioned(tensors)
    golden['peftAdapter'] = with_patterns(family, folder, batches)
    save_file(tensors, folder / 'golden.safetensors')
    (folder / 'golden.safetensors').chmod(0o644)
    (folder / 'golden.json').write_text(json.dumps(golden, indent=1) + '\n')


def with_patterns(family, folder, batches):
    """An adapter with several ranks and scales, trained and saved by PEFT; its logits for all texts."""
    patterns = {
        'roberta': dict(target_modules=TARGETS, rank_pattern={'attention.self.query': 2, r'layer\.1\.output\.dense': 6}, alpha_pattern={'attention.self.value': 3, r'.*\.0\.intermediate\.dense': 12}),
        'distilbert': dict(target_modules=['q_lin', 'v_lin', 'lin2'], rank_pattern={'lin2': 3}),
        'mpnet': dict(target_modules=['q', 'v', 'output.dense'], rank_pattern={'output.dense': 3}),
        'modernbert': dict(target_modules=['Wqkv', 'Wi'], rank_pattern={'Wi': 3}),
        'xlm-roberta': dict(target_modules=['query', 'value', 'output.dense'], rank_pattern={'output.dense': 3}),
        'deberta-v2': dict(target_modules=['query_proj', 'value_proj', 'output.dense'], rank_pattern={'output.dense': 3}),
        'deberta-v2-plain': dict(target_modules=['query_proj', 'pos_key_proj', 'output.dense'], rank_pattern={'output.dense': 3}),
        'electra': dict(target_modules=['query', 'value', 'output.dense'], rank_pattern={'output.dense': 3}),
        'bert': dict(target_modules=['query', 'value', 'output.dense'], rank_pattern={'output.dense': 3}, alpha_pattern={'query': 5, 'attention.output.dense': 1}),
    }[family]
    model = lora(family, folder, **patterns)
    train(model, family, batches, 5)
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.eval().save_pretrained(folder / 'peft-adapter')
    (folder / 'peft-adapter' / 'README.md').unlink(missing_ok=True)
    for file in folder.rglob('*.safetensors'):
        file.chmod(0o644)
    return {'logits': [row for batch in batches for row in logits(model, family, batch)]}
