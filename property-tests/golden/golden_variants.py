"""LoRA's variants under PEFT: rsLoRA's scale, DoRA's magnitudes, LoRA+'s rate of B, dropout by masks that a formula gives, and the modules that `all-linear` chooses."""
import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer

from golden_lora import SAVED, TARGETS
from golden_models import draw_batches, open_model, padded
from golden_training import ADAMW, WEIGHT_DECAY, all_logits, canonical, loss_of, optimization, randomize, record, train, trained, versions, well_conditioned, write

LORA = dict(rank=2, alpha=3)
DROPOUT = 0.25
RATIO = 4
SETTINGS = {'rslora': {'use_rslora': True}, 'dora': {'use_dora': True}, 'lora-dropout': {'lora_dropout': DROPOUT}, 'all-linear': {'target_modules': 'all-linear'}}
STEPS = {'lora-dropout': 5, 'all-linear': 5}


class FormulaDropout(torch.nn.Module):
    """Inverted dropout of module m's input at step s: feature j of real token t (counted through the batch) is kept where keep(m, t, j, s)."""

    def __init__(self, module, at):
        super().__init__()
        self.module, self.at = module, at

    def forward(self, x):
        if not self.training:
            return x
        mask, step = self.at['mask'], self.at['step']
        kept = torch.ones_like(x)
        tokens, features = torch.arange(int(mask.sum()))[:, None], torch.arange(x.shape[-1])[None]
        kept[mask.bool()] = keep(self.module, tokens, features, step).to(x.dtype)
        return x * kept / (1 - DROPOUT)


def keep(module, token, feature, step):
    """Three of four, by the high bits of a sum of multiples. Everything counts from 0."""
    return ((2654435761 * (module + 1) + 2246822519 * (token + 1) + 3266489917 * (feature + 1) + 668265263 * step) % 2 ** 32 // 2 ** 16) % 4 != 0


def build(family, base, **settings):
    settings = {'r': LORA['rank'], 'lora_alpha': LORA['alpha'], 'target_modules': TARGETS, 'modules_to_save': list(SAVED[family]), **settings}
    model = get_peft_model(open_model(family, base, torch.float32), LoraConfig(task_type='SEQ_CLS', **settings))
    randomize(model, {'.A': 0.2, '.B': 0.2})
    with torch.no_grad():  # DoRA starts at the rows' norms, where the gradient of a magnitude is that of a plain scale
        for name, parameter in trained(model).items():
            if name.endswith('.magnitude'):
                parameter.mul_(1 + 0.2 * torch.sin(torch.arange(parameter.numel())))
    return model


def force_masks(model, family, batches):
    """→ train's hook that says which batch and step a mask is for"""
    at = {}
    layers = [module for name, module in model.named_modules() if hasattr(module, 'lora_dropout') and name.count('.encoder.')]
    for m, layer in enumerate(layers):
        layer.lora_dropout['default'] = FormulaDropout(m, at).train(layer.training)
    return {'before_step': lambda step: at.update(step=step, mask=padded(family, batches[step % len(batches)])['attention_mask'])}


def dropped_step(model, family, batches):
    """The first step's loss and gradients under masks, of a model in training mode."""
    hooks = force_masks(model, family, batches)
    losses, gradients = train(model.train(), family, batches, 1, **hooks)
    return losses[0], gradients


def lora_plus(model):
    """PEFT's optimizer of LoRA+. It also trains biases at B's rate, where the paper has the rate of A: they get that here."""
    found = create_loraplus_optimizer(model, torch.optim.AdamW, loraplus_lr_ratio=RATIO, loraplus_weight_decay=WEIGHT_DECAY, foreach=False, fused=False, **ADAMW)
    for group in found.param_groups:
        if any(p.dim() == 1 for p in group['params']):
            group.update(lr=ADAMW['lr'])
    return found


def make(family, base, method):
    folder, batches, settings = base / method, draw_batches(family), SETTINGS.get(method, {})
    document = {'versions': versions(peft), 'method': method, 'settings': {**LORA, **optimization(STEPS.get(method, 20))}}
    if method == 'all-linear':
        return write(folder, {**document, **all_linear(family, base, batches, folder)}, {})
    hooks = {'training': lambda model, _: force_masks(model, family, batches)} if method == 'lora-dropout' else {}
    if method == 'lora-plus':
        document['settings']['ratio'] = RATIO
        golden, tensors, _ = record(family, batches, lambda: build(family, base), training=lambda model, _: {'optimizer_of': lora_plus})
        return write(folder, {**document, **golden}, well_conditioned(tensors))
    golden, tensors, model = record(family, batches, lambda: build(family, base, **settings), steps=document['settings']['steps'], **hooks)
    well_conditioned(tensors)
    if method == 'dora':
        loss, gradients = dropped_step(build(family, base, **settings, lora_dropout=DROPOUT).to(torch.float64), family, batches)
        golden['float64']['dropout'] = {'loss': loss}
        tensors.update({f'float64/dropout/gradient/{name}': gradient for name, gradient in gradients.items()})
    if method in ('dora', 'lora-dropout'):
        document['settings']['dropout'] = DROPOUT
        document['modules'] = [canonical(name) for name, module in model.named_modules() if hasattr(module, 'lora_dropout')]
    saved = save(model, family, base, batches, folder)
    write(folder, {**document, **golden, 'saved': saved}, tensors)


def save(model, family, base, batches, folder):
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.eval().save_pretrained(folder / 'saved')
    return {'saved': all_logits(PeftModel.from_pretrained(open_model(family, base, torch.float32), folder / 'saved'), family, batches)}


def all_linear(family, base, batches, folder):
    """PEFT's own choice of head too: it puts a pair on BERT's pooler, and trains the classifier alone."""
    model = build(family, base, target_modules='all-linear', modules_to_save=None)
    train(model.train(), family, batches, STEPS['all-linear'])
    return {'modules': [canonical(name) for name in model.targeted_module_names], 'saved': save(model, family, base, batches, folder)}
