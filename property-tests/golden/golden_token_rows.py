"""Trained rows of tokens under PEFT (trainable_token_indices beside LoRA): the first step's logits, loss and gradients, 20 steps of AdamW, and an adapter.

qwen3's output matrix is the table of embeddings; llama's is another one. Two of the tokens are new: transformers resizes the base, and their rows are the mean of
the table, around which transformers draws them. The adapter's tokenizer has them as the tokenizers library adds them.

    python golden_token_rows.py                  fixtures/{qwen3,llama}/tokens, and fixtures/addedTokens.json: new tokens in the kinds of fixtures/tokenizers.json
    python golden_token_rows.py --check FOLDER   opens the folders in FOLDER in PEFT and transformers, and writes fixtures/{qwen3,llama}/tokens/exchange.json
                                                 (FOLDER is written by: GOLDEN_EXPORT=FOLDER npx vitest run property-tests/golden/tokenRows.test.ts)"""
import hashlib
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

import golden_training
from golden_decoders import LORA, TARGETS, in_float64, logits, loss_of
from golden_models import SEED
from golden_training import descend, in_both, optimization, randomize, versions, well_conditioned
from make_golden import FIXTURES

golden_training.WRAPPINGS.append(('token_adapter.trainable_tokens_delta.default', 'tokens'))

NEW = ['<|user|>', 'ibuprofen']
KNOWN = [21, 7]  # in any order
IDS = [*KNOWN, 50, 51]
BATCHES = [
    dict(inputIds=[[50, 7, 12, 51, 9, 21], [50, 33, 51, 4]], targets=[[-100, -100, 51, 9, 21, -100], [-100, 51, 4, -100]]),
    dict(inputIds=[[50, 21, 21, 51, 7], [3, 50, 8, 51, 40, 50]], targets=[[21, 21, 51, 7, -100], [50, 8, 51, 40, 50, -100]]),
]


def resized(folder):
    base = AutoModelForCausalLM.from_pretrained(folder, attn_implementation='eager', dtype=torch.float32)
    tables = {base.get_input_embeddings().weight.data_ptr(): base.get_input_embeddings, base.get_output_embeddings().weight.data_ptr(): base.get_output_embeddings}
    means = [(get, get().weight.detach().double().mean(0)) for get in tables.values()]
    base.resize_token_embeddings(50 + len(NEW), mean_resizing=False)
    with torch.no_grad():
        for get, mean in means:
            get().weight[50:] = mean.float()
    return base


def build(family, folder):
    indices = IDS if family == 'qwen3' else {'embed_tokens': IDS, 'lm_head': IDS}
    config = LoraConfig(task_type='CAUSAL_LM', r=LORA['rank'], lora_alpha=LORA['alpha'], target_modules=TARGETS[family], lora_dropout=0.0, trainable_token_indices=indices)
    model = get_peft_model(resized(folder), config)
    randomize(model, {'.A': 0.2, '.B': 0.2})
    return model


def make(family):
    folder = FIXTURES / family
    in_float64(family)
    initial = {name: rows.detach().clone() for name, rows in golden_training.trained(build(family, folder)).items() if name.endswith('.tokens')}
    answers = {f'initial/{name}': rows for name, rows in initial.items()}

    def start():
        model = build(family, folder)
        randomize(model, {'.tokens': 0.5})
        return model

    def run(model, dtype):
        answers[f'{dtype}/logits'] = logits(model, BATCHES[0])
        losses, gradients = descend(model, lambda batch: loss_of(model, batch), BATCHES)
        answers[f'{dtype}/finalLogits'] = logits(model, BATCHES[0])
        return {'losses': losses}, gradients

    recorded, tensors, model = in_both(start, run)
    tensors.update(answers)
    well_conditioned(tensors)
    out = folder / 'tokens'
    out.mkdir(exist_ok=True)
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.peft_config['default'].target_modules = TARGETS[family]  # PEFT makes a set of it, of any order
    model.eval().save_pretrained(out / 'peft-adapter')
    (out / 'peft-adapter' / 'README.md').unlink(missing_ok=True)
    tokenizer = Tokenizer.from_file(str(folder / 'tokenizer.json'))
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=token.startswith('<')) for token in NEW])
    tokenizer.save(str(out / 'peft-adapter' / 'tokenizer.json'))
    text = 'w3 <|user|>w7 ibuprofen w9'
    encoded = tokenizer.encode(text, add_special_tokens=False)
    with torch.no_grad():
        last = [model(input_ids=torch.tensor([ids])).logits[0, -1].tolist() for ids in BATCHES[0]['inputIds']]
    golden = {
        'versions': versions(peft), 'seed': SEED, 'lora': {**LORA, **optimization()}, 'newTokens': NEW, 'ids': IDS, 'batches': BATCHES, **recorded,
        'tokenized': {'text': text, 'ids': encoded.ids, 'decoded': tokenizer.decode(encoded.ids)}, 'adapterLogits': last,
    }
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out / 'golden.safetensors')
    (out / 'golden.json').write_text(json.dumps(golden, indent=1) + '\n')
    for file in out.rglob('*'):
        if file.is_file():
            file.chmod(0o644)


def add_tokens():
    """What the tokenizers library makes of new tokens in each kind of tokenizer."""
    new = ['<|user|>', 'ibuprofen', 'naïve word', '[USER]']
    texts = ['<|user|> what helps?ibuprofen [USER]x', 'ibuprofen', 'a naïve word here ibuprofens', 'The food <|user|><|user|> was  superb', 'naïve  word']
    kinds = {}
    for kind, made in json.loads((FIXTURES / 'tokenizers.json').read_text())['kinds'].items():
        tokenizer = Tokenizer.from_str(json.dumps(made['tokenizer']))
        before = tokenizer.get_vocab_size()
        tokenizer.add_tokens([AddedToken(token, normalized=False, special=token[0] in '<[') for token in new])
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        added = [token for token in json.loads(tokenizer.to_str())['added_tokens'] if token['id'] >= before]
        kinds[kind] = {'ids': ids, 'decoded': [tokenizer.decode(own) for own in ids], 'added': added}
    file = FIXTURES / 'addedTokens.json'
    file.write_text(json.dumps({'newTokens': new, 'texts': texts, 'kinds': kinds}, indent=1, ensure_ascii=False) + '\n')
    file.chmod(0o644)


def check(folder, family):
    """The adapter on the base that is resized as its tokenizer says, and the merged model by itself: their logits, and the digests of their files."""
    found = {}
    for name, files in {'peft': ('adapter_model.safetensors', 'adapter_config.json', 'tokenizer.json'), 'merged': ('model.safetensors', 'config.json', 'tokenizer.json')}.items():
        exported = folder / family / name
        tokenizer = AutoTokenizer.from_pretrained(exported)
        assert len(tokenizer) == 52 and tokenizer.convert_tokens_to_ids(NEW) == [50, 51], tokenizer
        if name == 'peft':
            base = AutoModelForCausalLM.from_pretrained(FIXTURES / family, attn_implementation='eager', dtype=torch.float32)
            base.resize_token_embeddings(len(tokenizer))
            model = PeftModel.from_pretrained(base, exported)
        else:
            model, info = AutoModelForCausalLM.from_pretrained(exported, attn_implementation='eager', dtype=torch.float32, output_loading_info=True)
            assert not any(info[key] for key in ('missing_keys', 'unexpected_keys', 'mismatched_keys')), info
        model.eval()
        with torch.no_grad():
            rows = torch.tensor([model(input_ids=torch.tensor([ids])).logits[0, -1].tolist() for ids in BATCHES[0]['inputIds']]).flatten()
        difference = ((rows - torch.tensor(json.loads((exported / 'logits.json').read_text()))).abs().max() / rows.abs().max()).item()
        print(f'{family}/{name}: logits differ by {difference:.1e}')
        assert difference < 1e-5
        found[name] = {'digests': {file: hashlib.sha256((exported / file).read_bytes()).hexdigest() for file in files}, 'logits': rows.tolist()}
    (FIXTURES / family / 'tokens' / 'exchange.json').write_text(json.dumps(found) + '\n')


if __name__ == '__main__':
    torch.set_num_threads(1)
    if sys.argv[1:2] != ['--check']:
        add_tokens()
    for family in ('qwen3', 'llama'):
        if sys.argv[1:2] == ['--check']:
            check(Path(sys.argv[2]), family)
        else:
            make(family)
