"""Sentence embeddings under PEFT: means of AutoModel's hidden states, the losses of sentence-transformers written in PyTorch, gradients, and the adapter.

    python golden_embeddings.py                fixtures/FAMILY/embeddings (peft 0.21, transformers 5, as make_golden.py has it)

Texts 0 and 1 of a batch are a pair, and so are 2 and 3. The losses are those of MultipleNegativesRankingLoss (cosine, scale 20) and CosineSimilarityLoss.
"""
import json
import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import peft
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy, mse_loss, normalize
from transformers import AutoModel

from golden_models import CLASSES, in_float64, normal, padded
from golden_training import trained, versions
from golden_token_classes import FIXTURES, TARGETS

SCORES = [0.25, 0.75]


def adapted(family, dtype):
    model = AutoModel.from_pretrained(FIXTURES / family, attn_implementation='eager')
    model = get_peft_model(model, LoraConfig(task_type='FEATURE_EXTRACTION', r=2, lora_alpha=6, lora_dropout=0.0, target_modules=TARGETS.get(family, ['query', 'value'])))
    with torch.no_grad():
        for name, parameter in trained(model).items():
            parameter.copy_(normal(f'embeddings {name}', parameter.shape, 0.2))
    return model.to(dtype).eval()


def embed(model, inputs):
    mask = inputs['attention_mask'].unsqueeze(-1)
    hidden = model(**inputs).last_hidden_state
    return normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def make(family):
    folder = FIXTURES / family / 'embeddings'
    shutil.rmtree(folder, ignore_errors=True)
    in_float64(family)
    batch = json.loads((FIXTURES / family / 'golden.json').read_text())['batches'][0]
    batch = {**batch, 'tokenTypeIds': [[0] * len(ids) for ids in batch['inputIds']]}
    golden = {'versions': versions(peft), 'scores': SCORES}
    for name in ('ranking', 'similarity'):
        model = adapted(family, torch.float64)
        vectors = embed(model, padded(family, batch))
        first, second = vectors[0::2], vectors[1::2]
        loss = cross_entropy(20 * first @ second.T, torch.arange(2)) if name == 'ranking' else mse_loss((first * second).sum(1), torch.tensor(SCORES, dtype=torch.float64))
        loss.backward()
        golden[name] = {'loss': loss.item(), 'gradients': {key: p.grad.flatten().tolist() for key, p in trained(model).items() if '0' in key}}
    golden['embeddings'] = vectors.tolist()
    model = adapted(family, torch.float32)
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.save_pretrained(folder)
    (folder / 'README.md').unlink(missing_ok=True)
    (folder / 'adapter_model.safetensors').chmod(0o644)
    (folder / 'golden.json').write_text(json.dumps(golden) + '\n')


if __name__ == '__main__':
    torch.set_num_threads(1)
    for name in sys.argv[1:] or list(CLASSES):
        make(name)
        print(name)
