"""Prefix and prompt tuning of decoders under PEFT: next-token losses, gradients, 20 steps, a folder that it saved, and what that writes. A prefix of grouped heads is on Qwen2 alone:
PEFT takes hidden_size / num_attention_heads for the size of a head, and its cache knows no window."""
import json

import peft
import torch
from peft import PeftModel, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from golden_decoders import draw_batches, in_float64
from golden_training import descend, in_both, optimization, optimizer, randomize, versions, well_conditioned

TOKENS = 3
CONFIGS = {'prefix': PrefixTuningConfig, 'prompt': PromptTuningConfig}
METHODS = {'llama': ('prompt',), 'mistral': ('prompt',), 'qwen2': ('prefix', 'prompt'), 'qwen3': ('prefix', 'prompt'), **{family: ('prompt',) for family in ('gemma', 'gemma2', 'ministral', 'olmo2', 'smollm3')}, 'gemma3': ('prompt',), 'granite': ('prompt',), 'gpt2': ('prefix', 'prompt'),
           'phi3': ('prefix', 'prompt'), 'opt': ('prefix', 'prompt')}


def rows_of(model, batch):
    """Logits of the texts' own tokens. Each text by itself, so that no padding counts."""
    return torch.cat([model(input_ids=torch.tensor([ids])).logits[0][-len(ids):] for ids in batch['inputIds']])


def loss_of(model, batch):
    targets = torch.tensor([target for row in batch['targets'] for target in row])
    return torch.nn.functional.cross_entropy(rows_of(model, batch), targets, ignore_index=-100)


def opened(folder):
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation='eager', dtype=torch.float32)


def build(folder, method):
    model = get_peft_model(opened(folder), CONFIGS[method](task_type='CAUSAL_LM', num_virtual_tokens=TOKENS))
    randomize(model, {'prompt_embeddings': 0.8})
    return model


def written(model, ids, tokens=8):
    """The likeliest tokens, each from the whole text before it: with these versions PEFT's generate() loses virtual tokens after the first step."""
    own = list(ids)
    for _ in range(tokens):
        own.append(model(input_ids=torch.tensor([own])).logits[0][-1].argmax().item())
    return own[len(ids):]


def make(family, base, _):
    for method in METHODS[family]:
        record(family, base, base / method, lambda: build(base, method), {'virtualTokens': TOKENS})


def record(family, base, folder, build, settings, optimizer_of=optimizer):
    """Twenty steps of a method on a decoder, the folder that PEFT saves, and what that writes."""
    in_float64(family)
    batches = draw_batches()
    folder.mkdir(parents=True, exist_ok=True)

    def run(model, _):
        losses, gradients = descend(model, lambda batch: loss_of(model, batch), batches, optimizer_of=optimizer_of)
        return {'losses': losses}, gradients

    recorded, tensors, model = in_both(build, run)
    golden = {'versions': versions(peft), 'settings': {**settings, **optimization()}, **recorded}
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.eval().save_pretrained(folder / 'saved')
    (folder / 'saved' / 'README.md').unlink(missing_ok=True)
    with torch.no_grad():
        saved = PeftModel.from_pretrained(opened(base), folder / 'saved').eval()
        golden['saved'] = loss_of(saved, batches[0]).item()
        golden['greedy'] = [written(saved, ids) for ids in batches[0]['inputIds']]
    well_conditioned(tensors)
    save_file(tensors, folder / 'golden.safetensors')
    (folder / 'golden.json').write_text(json.dumps(golden, indent=1) + '\n')
    for file in folder.rglob('*'):
        if file.is_file():
            file.chmod(0o644)
