"""How every method is trained and written down: eval-mode logits and losses, the first step's gradients, and 20 steps of AdamW, in both precisions."""
import json

import safetensors
import tokenizers
import torch
import transformers
from safetensors.torch import save_file

from golden_models import SEED, normal, padded

STEPS = 20
ADAMW = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
WEIGHT_DECAY = 0.01
DTYPES = {'float64': torch.float64, 'float32': torch.float32}

# What the libraries put around or into a parameter's path, and what the fixtures have there.
WRAPPINGS = [
    ('base_model.model.', ''), ('base_model.', ''), ('roberta.', ''), ('distilbert.', ''), ('electra.', ''), ('mpnet.', ''), ('deberta.', ''), ('bert.', ''), ('transformer.h.', 'h.'), ('modules_to_save.default.', ''),
    ('lora_A.default.weight', 'A'), ('lora_B.default.weight', 'B'), ('lora_magnitude_vector.default.weight', 'magnitude'),
    ('lora_A.default', 'A'), ('lora_B.default', 'B'), ('lora_E.default', 'E'),
    ('ia3_l.default', 'l'),
    ('prompt_encoder.default.embedding.weight', 'prompt_embeddings'),
    ('.attention_adapters.', '.attention.'), ('.output_adapters.', '.ffn.'),  # DistilBERT's
    ('adapters.golden.adapter_down.0.', 'adapter.down.'), ('adapters.golden.adapter_up.', 'adapter.up.'),
]


def canonical(name):
    """The library's name of a parameter as the fixtures have it: module path without family, then the parameter's own name."""
    for theirs, ours in WRAPPINGS:
        name = name.replace(theirs, ours)
    return name.removeprefix('model.')


def trained(model):
    return {canonical(name): parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def randomize(model, deviations):
    """Draws parameters whose last name is in `deviations`: those that the library initializes to 0 would hide gradients."""
    with torch.no_grad():
        for name, parameter in trained(model).items():
            deviation = next((value for ending, value in deviations.items() if name.endswith(ending)), None)
            if deviation is not None:
                parameter.copy_(normal(name, parameter.shape, deviation))


def optimizer(model):
    """Decay on matrices alone: parameters of two dimensions, as transformers' Trainer has it."""
    groups = [{'params': [p for p in trained(model).values() if (p.dim() > 1) == decays], 'weight_decay': WEIGHT_DECAY if decays else 0.0} for decays in (True, False)]
    return torch.optim.AdamW(groups, foreach=False, fused=False, **ADAMW)


def loss_of(model, family, batch):
    return model(**padded(family, batch), labels=torch.tensor(batch['labels'])).loss


def descend(model, loss_of_batch, batches, steps=STEPS, after_step=lambda step: None, before_step=lambda step: None, optimizer_of=optimizer):
    """AdamW. → one loss a step, and the gradients of the first"""
    adamw, losses, first = optimizer_of(model), [], None
    for step in range(steps):
        before_step(step)
        loss = loss_of_batch(batches[step % len(batches)])
        loss.backward()
        first = first or {name: parameter.grad.clone() for name, parameter in trained(model).items()}
        adamw.step()
        after_step(step)
        adamw.zero_grad()
        losses.append(loss.item())
    return losses, first


def train(model, family, batches, steps=STEPS, **hooks):
    """A classifier's."""
    return descend(model, lambda batch: loss_of(model, family, batch), batches, steps, **hooks)


@torch.no_grad()
def logits(model, family, batch):
    return model(**padded(family, batch)).logits.tolist()


@torch.no_grad()
def evaluation(model, family, batches):
    """Logits of every batch by the current model, in eval mode."""
    model.eval()
    rows = [{'logits': logits(model, family, batch), 'loss': loss_of(model, family, batch).item()} for batch in batches]
    model.train()
    return rows


def all_logits(model, family, batches):
    model.eval()
    return [row for batch in batches for row in logits(model, family, batch)]


def in_both(build, run):
    """Start, first gradients and end of a run in each precision. @param build: → a model in float32, all trained tensors representable there;
    run: model, dtype → (JSON, the first step's gradients). → (JSON, tensors, the float32 model at the end)"""
    golden, tensors = {}, {}
    for dtype, torch_dtype in DTYPES.items():
        model = build().to(torch_dtype).train()
        tensors.update({f'start/{name}': p.detach().to(torch.float32).clone() for name, p in trained(model).items()})
        golden[dtype], gradients = run(model, dtype)
        tensors.update({f'{dtype}/gradient/{name}': g for name, g in gradients.items()})
        tensors.update({f'{dtype}/final/{name}': p.detach().clone() for name, p in trained(model).items()})
    return golden, tensors, model


def record(family, batches, build, training=lambda model, dtype: {}, steps=STEPS):
    """A classifier's run in each precision. @param training: → train's hooks"""
    def run(model, dtype):
        start = {'logits': logits(model.eval(), family, batches[0]), 'evaluation': evaluation(model, family, batches)}
        losses, gradients = train(model, family, batches, steps, **training(model, dtype))
        return {**start, 'losses': losses, 'finalLogits': logits(model.eval(), family, batches[0])}, gradients
    return in_both(build, run)


def well_conditioned(tensors, besides=()):
    """AdamW divides a gradient by its own size: where one is 1e-4 of its tensor's largest, float32 leaves no digits of its steps, not even between
    PyTorch's own two precisions. Such a fixture would say nothing of ours. @param besides: names whose gradient is 0 in exact arithmetic"""
    for name, single in tensors.items():
        if name.startswith('float32/final/') and name.removeprefix('float32/final/') not in besides:
            double = tensors[name.replace('float32', 'float64')]
            difference = (single.double() - double).abs().max().item() / (double.abs().max().item() or 1.0)
            assert difference < 5e-6, f'{name}: float32 is {difference:.1e} off float64 in the library itself; draw with another seed'
    return tensors


def versions(*modules):
    return {module.__name__: module.__version__ for module in (torch, transformers, *modules, tokenizers, safetensors)}


def optimization(steps=STEPS):
    return {'steps': steps, 'learningRate': ADAMW['lr'], 'weightDecay': WEIGHT_DECAY}


def write(folder, golden, tensors):
    """Plain modes, so that a fixture is the same file wherever it is made."""
    folder.mkdir(parents=True, exist_ok=True)
    if tensors:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / 'golden.safetensors')
    (folder / 'golden.json').write_text(json.dumps({'seed': SEED, **golden}, indent=1) + '\n')
    for file in folder.rglob('*'):
        if file.is_file():
            file.chmod(0o644)
        if file.name == 'README.md':
            file.unlink()
