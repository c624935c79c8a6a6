"""Folders that this library exported, opened by the libraries whose formats they are: every key accounted for, and the same logits."""
import hashlib
import importlib.util
import json
import sys

import torch
import transformers

from golden_models import CLASSES
from golden_training import all_logits
from golden_decoders import rows_of

BOUND = 1e-5
FAMILIES = ('roberta', 'bert', 'distilbert', 'electra', 'modernbert', 'mpnet', 'xlm-roberta', 'deberta-v2', 'deberta-v2-plain', 'qwen3', 'gemma2', 'gemma3', 'gpt2', 'phi3', 'opt')
DECODERS = ('qwen3', 'gemma2', 'gemma3', 'gpt2', 'phi3', 'opt')
PEFT_FILES = ('adapter_model.safetensors', 'adapter_config.json')
FILES = {'full': ('model.safetensors', 'config.json'), 'bottleneck': ('adapter.safetensors', 'adapter_config.json', 'model_head.safetensors', 'head_config.json')}


def check(fixtures, folder):
    """Raises at the first folder that does not load whole or differs; else writes what its library made of each. What another environment checked stays."""
    written = fixtures / 'exchange.json'
    checked, left = json.loads(written.read_text()), []
    for family in (family for family in FAMILIES if (folder / family).exists()):
        batches = json.loads((fixtures / family / 'golden.json').read_text())['batches']
        for exported in sorted(path for path in (folder / family).iterdir() if path.is_dir()):
            name, kind = f'{family}/{exported.name}', kind_of(exported)
            if not opens_here(kind):
                left.append(name)
                continue
            model, keys = OPEN.get(kind, open_peft)(family, fixtures / family, exported)
            found = logits_of(model, family, batches)
            ours = torch.tensor(json.loads((exported / 'logits.json').read_text()))
            difference = ((found - ours).abs().max() / found.abs().max()).item()
            print(f'{name}: {keys} keys, none missing, none unexpected; logits differ by {difference:.1e}')
            assert difference <= BOUND, f'{exported}: expected logits within {BOUND} of the library, found {difference}'
            digests = {f'sha256 of {file}': hashlib.sha256((exported / file).read_bytes()).hexdigest() for file in FILES.get(kind, PEFT_FILES)}
            checked[name] = {**digests, 'logits': found.tolist()}
    print(f"left to another environment: {', '.join(left) or 'nothing'}")
    ordered = sorted(checked.items(), key=lambda entry: (FAMILIES.index(entry[0].partition('/')[0]), entry[0]))
    written.write_text(json.dumps(dict(ordered)) + '\n')


def logits_of(model, family, batches):
    """Of every text; of a decoder, those after each text of the first batch."""
    if family not in DECODERS:
        return torch.tensor(all_logits(model, family, batches)).flatten()
    with torch.no_grad():
        return torch.cat([rows_of(model.eval(), {'inputIds': [ids]})[-1] for ids in batches[0]['inputIds']])


def open_model(family, folder):
    library = transformers.AutoModelForCausalLM if family in DECODERS else CLASSES[family]
    return library.from_pretrained(folder, attn_implementation='eager').to(torch.float32).eval()


def kind_of(exported):
    """`full`, `bottleneck`, or PEFT's own word for the method."""
    config = exported / 'adapter_config.json'
    return json.loads(config.read_text()).get('peft_type', 'bottleneck') if config.exists() else 'full'


def opens_here(kind):
    """Each in the environment of make_golden.py that makes its fixture."""
    version = tuple(map(int, transformers.__version__.split('.')[:2]))
    if kind == 'bottleneck':
        return 'adapters' in sys.modules or importlib.util.find_spec('adapters') is not None
    return version < (4, 54) if kind == 'PREFIX_TUNING' else version >= (5, 0)


def open_full(family, base, exported):
    library = transformers.AutoModelForCausalLM if family in DECODERS else CLASSES[family]
    model, found = library.from_pretrained(exported, attn_implementation='eager', output_loading_info=True)
    account(exported, **{key: found[key] for key in ('missing_keys', 'unexpected_keys', 'mismatched_keys')})
    return model, len(model.state_dict())


def open_bottleneck(family, base, exported):
    from safetensors import safe_open
    from golden_bottleneck import reopen
    model, found = reopen(family, base, exported)
    account(exported, **found)
    return model, sum(len(safe_open(exported / file, 'pt').keys()) for file in FILES['bottleneck'] if file.endswith('.safetensors'))


def open_peft(family, base, exported):
    """The file's tensors are exactly the trained tensors of the model that PEFT builds from the configuration."""
    from peft import PeftConfig, PeftModel, get_peft_model, set_peft_model_state_dict
    from peft.utils import load_peft_weights
    model = get_peft_model(open_model(family, base), PeftConfig.from_pretrained(exported))
    weights = load_peft_weights(str(exported), device='cpu')
    result = set_peft_model_state_dict(model, weights)
    own = [name for name, _ in model.named_parameters() if any(part in name for part in ('lora_', 'ia3_l', 'modules_to_save', 'prompt_encoder'))]
    # PEFT gives virtual tokens to their encoder itself, strictly, and its account of the rest knows nothing of that.
    virtual = {'prompt_embeddings', 'prompt_encoder.default.embedding.weight'} if 'prompt_embeddings' in weights else set()
    account(exported, missing_keys=(set(result.missing_keys) & set(own)) - virtual, unexpected_keys=set(result.unexpected_keys) - virtual)
    assert len(weights) == len(own), f'{exported}: expected {len(own)} tensors, found {len(weights)}'
    return PeftModel.from_pretrained(open_model(family, base), exported), len(weights)


def account(exported, **problems):
    for problem, keys in problems.items():
        assert not keys, f"{exported}: {problem.replace('_', ' ')}: {sorted(map(str, keys))}"


OPEN = {'full': open_full, 'bottleneck': open_bottleneck}
