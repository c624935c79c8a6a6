"""Prefix and prompt tuning under PEFT: virtual tokens before texts of unequal lengths, so that positions, masks and the head's token all show."""
import peft
import torch
from peft import PeftModel, PrefixTuningConfig, PromptTuningConfig, get_peft_model

from golden_lora import SAVED
from golden_models import draw_batches, in_float64, open_model
from golden_training import all_logits, optimization, randomize, record, train, versions, well_conditioned, write

TOKENS = 3
CONFIGS = {'prefix': PrefixTuningConfig, 'prompt': PromptTuningConfig}
# What PEFT does not find in a configuration: DistilBERT calls its sizes by other names, and ELECTRA's words are not as wide as its hidden states.
SIZES = {('prompt', 'distilbert'): dict(token_dim=32, num_layers=2, num_attention_heads=4), ('prompt', 'electra'): dict(token_dim=16)}


def build(method, family, base, modules_to_save):
    config = CONFIGS[method](task_type='SEQ_CLS', num_virtual_tokens=TOKENS, modules_to_save=modules_to_save, **SIZES.get((method, family), {}))
    model = get_peft_model(open_model(family, base, torch.float32), config)
    randomize(model, {'prompt_embeddings': 0.8})
    return model


def make(family, base, method):
    in_float64(family)
    folder, batches = base / method, draw_batches(family)
    golden, tensors, model = record(family, batches, lambda: build(method, family, base, list(SAVED[family])))
    well_conditioned(tensors)
    if method == 'prefix':  # one folder as PEFT's users have it, without BERT's pooler
        model = build(method, family, base, None)
        train(model.train(), family, batches, 5)
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.eval().save_pretrained(folder / 'saved')
    saved = all_logits(PeftModel.from_pretrained(open_model(family, base, torch.float32), folder / 'saved'), family, batches)
    write(folder, {'versions': versions(peft), 'method': method, 'settings': {'virtualTokens': TOKENS, **optimization()}, **golden, 'saved': {'saved': saved}}, tensors)
