"""Plain LoRA under PEFT: the first step's logits, loss and gradients, 20 steps of AdamW, and an adapter with patterns as PEFT saves it."""
import json

import peft
import safetensors
import tokenizers
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from golden_gated import gated_step
from golden_models import CONFIGS, SEED, draw_batches, normal, open_model, padded, write_model

LORA = dict(rank=4, alpha=8)
STEPS = 20
ADAMW = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
WEIGHT_DECAY = 0.01
TARGETS = r'.*encoder\.layer\.\d+\.(attention\.self\.(query|key|value)|attention\.output\.dense|intermediate\.dense|output\.dense)'
# PEFT freezes BERT's pooler unless it is named; ours trains it as part of the head.
SAVED = {'roberta': ['classifier'], 'bert': ['classifier', 'pooler']}
DTYPES = {'float64': torch.float64, 'float32': torch.float32}


def canonical(name):
    """PEFT's name of a parameter as the fixtures have it: module path without family, then A, B or the head's own name."""
    short = name.removeprefix('base_model.model.').removeprefix('roberta.').removeprefix('bert.').replace('modules_to_save.default.', '')
    return short.replace('lora_A.default.weight', 'A').replace('lora_B.default.weight', 'B')


def trained(model):
    return {canonical(name): parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def randomise(model):
    """B is not left 0: the gradient of A would be."""
    with torch.no_grad():
        for name, parameter in trained(model).items():
            if name.endswith(('.A', '.B')):
                parameter.copy_(normal(name, parameter.shape, 0.2))


def lora(family, folder, dtype, **settings):
    settings = {'r': LORA['rank'], 'lora_alpha': LORA['alpha'], 'target_modules': TARGETS, **settings}
    model = get_peft_model(open_model(family, folder, torch.float32), LoraConfig(task_type='SEQ_CLS', modules_to_save=list(SAVED[family]), lora_dropout=0.0, **settings))
    randomise(model)
    return model.to(dtype).train()


def optimiser(model):
    """Decay on matrices alone, as transformers' Trainer has it."""
    groups = [{'params': [p for p in trained(model).values() if (p.dim() > 1) == decays], 'weight_decay': WEIGHT_DECAY if decays else 0.0} for decays in (True, False)]
    return torch.optim.AdamW(groups, foreach=False, fused=False, **ADAMW)


def train(model, family, batches, steps):
    """One loss a step; the gradients of the first."""
    adamw, losses, first = optimiser(model), [], None
    for step in range(steps):
        batch = batches[step % len(batches)]
        adamw.zero_grad()
        loss = model(**padded(family, batch), labels=torch.tensor(batch['labels'])).loss
        loss.backward()
        first = first or {name: parameter.grad.clone() for name, parameter in trained(model).items()}
        adamw.step()
        losses.append(loss.item())
    return losses, first


@torch.no_grad()
def logits(model, family, batch):
    return model(**padded(family, batch)).logits.tolist()


def make(family, folder):
    folder.mkdir(parents=True, exist_ok=True)
    write_model(family, folder)
    batches = draw_batches(family)
    golden = {
        'versions': {module.__name__: module.__version__ for module in (torch, transformers, peft, tokenizers, safetensors)},
        'seed': SEED,
        'lora': {**LORA, 'steps': STEPS, 'learningRate': ADAMW['lr'], 'weightDecay': WEIGHT_DECAY},
        'batches': batches,
    }
    tensors = {}
    for dtype, torch_dtype in DTYPES.items():
        model = lora(family, folder, torch_dtype)
        tensors.update({f'start/{name}': p.detach().to(torch.float32).clone() for name, p in trained(model).items()})
        start = logits(model, family, batches[0])
        losses, gradients = train(model, family, batches, STEPS)
        golden[dtype] = {'logits': start, 'losses': losses, 'finalLogits': logits(model, family, batches[0])}
        tensors.update({f'{dtype}/gradient/{name}': g for name, g in gradients.items()})
        tensors.update({f'{dtype}/final/{name}': p.detach().clone() for name, p in trained(model).items()})
        if family == 'roberta':
            values, gated = gated_step(open_model(family, folder, torch.float32), family, batches[0], LORA, torch_dtype)
            golden[dtype]['gated'] = values
            tensors.update({name if name.startswith('gated/') else f'{dtype}/gated/{name}': t for name, t in gated.items()})
    assert_well_conditioned(tensors)
    golden['peftAdapter'] = with_patterns(family, folder, batches)
    save_file(tensors, folder / 'golden.safetensors')
    (folder / 'golden.safetensors').chmod(0o644)
    (folder / 'golden.json').write_text(json.dumps(golden, indent=1) + '\n')


def assert_well_conditioned(tensors):
    """AdamW divides a gradient by its own size: where one is 1e-4 of its tensor's largest, float32 leaves no digits of its steps, not even between
    PEFT's own two precisions. Such a fixture would say nothing of ours."""
    for name, single in tensors.items():
        if name.startswith('float32/final/'):
            double = tensors[name.replace('float32', 'float64')]
            difference = ((single.double() - double).abs().max() / double.abs().max()).item()
            assert difference < 5e-6, f'{name}: PEFT in float32 is {difference:.1e} off PEFT in float64; draw with another seed'


def with_patterns(family, folder, batches):
    """An adapter with several ranks and scales, trained and saved by PEFT; its logits for all texts."""
    patterns = {
        'roberta': dict(target_modules=TARGETS, rank_pattern={'attention.self.query': 2, r'layer\.1\.output\.dense': 6}, alpha_pattern={'attention.self.value': 3, r'.*\.0\.intermediate\.dense': 12}),
        'bert': dict(target_modules=['query', 'value', 'output.dense'], rank_pattern={'output.dense': 3}, alpha_pattern={'query': 5, 'attention.output.dense': 1}),
    }[family]
    model = lora(family, folder, torch.float32, **patterns)
    train(model, family, batches, 5)
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.eval().save_pretrained(folder / 'peft-adapter')
    (folder / 'peft-adapter' / 'README.md').unlink(missing_ok=True)
    for file in folder.rglob('*.safetensors'):
        file.chmod(0o644)
    return {'logits': [row for batch in batches for row in logits(model, family, batch)]}
