"""Houlsby's and Pfeiffer's adapters by the adapters library, which also decides the places of residuals and norms."""
import adapters
import torch
from adapters import AutoAdapterModel, DoubleSeqBnConfig, SeqBnConfig
from adapters.models.deberta_v2 import modeling_deberta_v2
from transformers.models.deberta_v2 import modeling_deberta_v2 as deberta_of_transformers

from golden_models import draw_batches, in_float64, normal, open_model
from golden_training import all_logits, optimization, randomize, record, train, versions, well_conditioned, write

REDUCTION = 8
CONFIGS = {'houlsby': DoubleSeqBnConfig, 'pfeiffer': SeqBnConfig}
# Between the two layers of a family's own head.
ACTIVATIONS = {'distilbert': 'relu', 'electra': 'gelu', 'deberta-v2': 'gelu'}


def build(method, family, base, pooler):
    """@param pooler: train BERT's, which the library freezes and ours holds for a part of the head"""
    model = open_model(family, base, torch.float32)
    model.config.name_or_path = f'golden/{family}'  # what the library writes into its files
    adapters.init(model)
    model.add_adapter('golden', config=CONFIGS[method](reduction_factor=REDUCTION))
    model.train_adapter('golden')
    if pooler and family == 'bert':
        model.bert.pooler.requires_grad_(True)
    randomize(model, {'down.weight': 0.3, 'up.weight': 0.3, 'down.bias': 0.1, 'up.bias': 0.1})
    return model


def reopen(family, base, folder):
    """A folder that the library or ours wrote, in a fresh model. → the model, and the keys that did not fit"""
    model, found = open_model(family, base, torch.float32), {}
    adapters.init(model)
    model.load_adapter(str(folder), set_active=True, use_safetensors=True, loading_info=found)
    return model.eval(), found


def open_flexible(family, base, folder):
    """In the class that folders on AdapterHub mostly come from, whose heads are named and built in layers."""
    model = AutoAdapterModel.from_pretrained(base, attn_implementation='eager')
    model.config.name_or_path = f'golden/{family}'
    model.load_adapter(str(folder), set_active=True, use_safetensors=True)
    return model.eval()


def save_flexible(method, family, base, saved, folder):
    """Houlsby's with the head that the library makes of ours (on BERT's pooler), Pfeiffer's with a head of that class's own: two layers, no pooler, and
    what the family has between them."""
    model = open_flexible(family, base, saved)
    if method == 'pfeiffer':
        model.delete_head('golden')
        model.add_classification_head('golden', num_labels=3, activation_function=ACTIVATIONS.get(family, 'tanh'))
        with torch.no_grad():
            for name, parameter in model.heads['golden'].named_parameters():
                parameter.copy_(normal(f'flexible {name}', parameter.shape, 0.3))
    model.save_adapter(str(folder), 'golden', use_safetensors=True)


def make(family, base, method):
    in_float64(family)
    modeling_deberta_v2.scaled_size_sqrt = deberta_of_transformers.scaled_size_sqrt
    folder, batches = base / method, draw_batches(family)
    golden, tensors, _ = record(family, batches, lambda: build(method, family, base, True))
    well_conditioned(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    model = build(method, family, base, False)
    train(model.train(), family, batches, 5)
    model.eval().save_adapter(str(folder / 'saved'), 'golden', use_safetensors=True)
    save_flexible(method, family, base, folder / 'saved', folder / 'saved-flexible')
    saved = {
        'saved': all_logits(reopen(family, base, folder / 'saved')[0], family, batches),
        'saved-flexible': all_logits(open_flexible(family, base, folder / 'saved-flexible'), family, batches),
    }
    write(folder, {'versions': versions(adapters), 'method': method, 'settings': {'reduction': REDUCTION, **optimization()}, **golden, 'saved': saved}, tensors)
