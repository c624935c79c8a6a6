"""IA³ under PEFT with its own choice of matrices: an encoder's classifier, and decoders, of which one scales the outputs of a fused matrix stored as [in, out]."""
import peft
import torch
from peft import IA3Config, PeftModel, get_peft_model

from golden_decoder_prompts import opened, record as record_decoder
from golden_lora import SAVED
from golden_models import draw_batches, in_float64, normal, open_model
from golden_training import ADAMW, WEIGHT_DECAY, all_logits, optimization, record, trained, versions, well_conditioned, write

DECODERS = ('qwen3', 'gpt2', 'opt')


def vectors(model):
    """Away from the 1 at which they start."""
    with torch.no_grad():
        for name, parameter in trained(model).items():
            if name.endswith('.l'):
                parameter.copy_(1 + normal(name, parameter.shape, 0.3))
    return model


def build(family, base):
    return vectors(get_peft_model(open_model(family, base, torch.float32), IA3Config(task_type='SEQ_CLS', modules_to_save=list(SAVED[family]))))


def optimizer(model):
    """Decay on matrices alone: the vectors, which PEFT stores in two dimensions, would be drawn to 0."""
    matrix = lambda name, p: p.dim() > 1 and not name.endswith('.l')
    groups = [{'params': [p for name, p in trained(model).items() if matrix(name, p) == decays], 'weight_decay': WEIGHT_DECAY if decays else 0.0} for decays in (True, False)]
    return torch.optim.AdamW([group for group in groups if group['params']], foreach=False, fused=False, **ADAMW)


def make(family, base, method):
    folder = base / method
    if family in DECODERS:
        return record_decoder(family, base, folder, lambda: vectors(get_peft_model(opened(base), IA3Config(task_type='CAUSAL_LM'))), {}, optimizer)
    in_float64(family)
    batches = draw_batches(family)
    golden, tensors, model = record(family, batches, lambda: build(family, base), training=lambda model, _: {'optimizer_of': optimizer})
    well_conditioned(tensors)
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.eval().save_pretrained(folder / 'saved')
    saved = all_logits(PeftModel.from_pretrained(open_model(family, base, torch.float32), folder / 'saved'), family, batches)
    write(folder, {'versions': versions(peft), 'method': method, 'settings': optimization(), **golden, 'saved': {'saved': saved}}, tensors)
