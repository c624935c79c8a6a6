"""Tokens that transformers generates from the decoders of golden_decoders.py: greedy, with a repetition penalty, by beams with length penalties, with and
without tokens that end a text. Each prompt by itself; where no window makes padding see padding alone, a padded batch must give the same."""
import json

import torch
from transformers import AutoModelForCausalLM
import transformers

from golden_models import SEED
from golden_decoders import SIZES

LENGTHS = [5, 1, 9, 3]
NEW = 14
# name → generate's arguments
CASES = {
    'greedy': dict(),
    'penalized': dict(repetition_penalty=1.3),
    'beams': dict(num_beams=3),
    'short': dict(num_beams=4, length_penalty=-1.5),
    'long': dict(num_beams=3, length_penalty=2.0),
    'penalized beams': dict(num_beams=2, repetition_penalty=1.2, length_penalty=0.5),
}


def make(family, folder, _):
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation='eager', dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(SEED + 7)
    prompts = [torch.randint(3, SIZES['vocab_size'], (length,), generator=generator).tolist() for length in LENGTHS]

    def generated(rows, ends, **arguments):
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False, eos_token_id=ends, pad_token_id=0, **arguments)
        return [trimmed(row[width:].tolist(), ends) for row in out]

    def trimmed(tokens, ends):
        """Tokens after the end token are padding."""
        end = next((i for i, token in enumerate(tokens) if ends is not None and token in ends), len(tokens) - 1)
        return tokens[:end + 1]

    free = [generated([prompt], None)[0] for prompt in prompts]
    ends = sorted({2, free[0][6], free[2][3]})  # so that some texts end early
    cases = []
    for name, arguments in CASES.items():
        for given in (None, ends):
            tokens = [generated([prompt], given, **arguments)[0] for prompt in prompts]
            if family not in ('mistral', 'gemma2', 'gemma3') and 'repetition_penalty' not in arguments:  # transformers penalizes padding too
                assert generated(prompts, given, **arguments) == tokens, (family, name)
            cases.append({'name': name, 'arguments': arguments, 'ends': given or [], 'tokens': tokens})
    golden = {'versions': {'torch': torch.__version__, 'transformers': transformers.__version__}, 'seed': SEED, 'maxNewTokens': NEW, 'prompts': prompts, 'cases': cases}
    (folder / 'generation.json').write_text(json.dumps(golden) + '\n')
    (folder / 'generation.json').chmod(0o644)
