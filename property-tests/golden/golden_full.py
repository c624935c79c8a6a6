"""Full fine-tuning by transformers alone: every weight trained, decay on matrices (embeddings too), none on biases and norms."""
import torch

from golden_models import CLASSES, draw_batches, open_model
from golden_training import all_logits, optimization, record, versions, well_conditioned, write


def make(family, base, _):
    batches = draw_batches(family)
    golden, tensors, model = record(family, batches, lambda: open_model(family, base, torch.float32))
    # Adding a constant to all of a query's scores changes no softmax: this gradient is 0 but for rounding, and AdamW makes steps of the rounding.
    zero = [name.removeprefix('start/') for name in tensors if name.startswith('start/') and name.endswith('attention.self.key.bias')]
    largest = max(t.abs().max().item() for name, t in tensors.items() if name.startswith('float64/gradient/'))
    assert all(tensors[f'float64/gradient/{name}'].abs().max() < 1e-12 * largest for name in zero)
    well_conditioned(tensors, zero)

    folder = base / 'full'
    model.eval().save_pretrained(folder / 'saved')
    reopened = CLASSES[family].from_pretrained(folder / 'saved', attn_implementation='eager')
    # The start is the checkpoint and the end is `saved`.
    gradients = {name: t for name, t in tensors.items() if name.startswith('float64/gradient/') and not name.endswith(tuple(zero))}
    write(folder, {'versions': versions(), 'method': 'full', 'settings': optimization(), 'zeroGradients': zero, **golden,
                   'saved': {'saved': all_logits(reopened, family, batches)}}, gradients)
