"""Adapters that this library exported, loaded into PEFT: every key accounted for, and the same logits."""
import hashlib
import json

import torch
from peft import PeftConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from peft.utils import load_peft_weights

from golden_lora import logits
from golden_models import open_model

BOUND = 1e-5


def check(fixtures, folder):
    """Raises at the first adapter that does not load whole or differs; else writes what PEFT made of each."""
    checked = {}
    for family in ('roberta', 'bert'):
        batches = json.loads((fixtures / family / 'golden.json').read_text())['batches']
        for adapter in sorted(path for path in (folder / family).iterdir() if path.is_dir()):
            keys = account_for_keys(family, fixtures / family, adapter)
            model = PeftModel.from_pretrained(open_model(family, fixtures / family, torch.float32), adapter).eval()
            found = torch.tensor([row for batch in batches for row in logits(model, family, batch)]).flatten()
            ours = torch.tensor(json.loads((adapter / 'logits.json').read_text()))
            difference = ((found - ours).abs().max() / found.abs().max()).item()
            print(f'{family}/{adapter.name}: {keys} keys, none missing, none unexpected; logits differ by {difference:.1e}')
            assert difference <= BOUND, f'{adapter}: expected logits within {BOUND} of PEFT, found {difference}'
            digest = lambda file: hashlib.sha256((adapter / file).read_bytes()).hexdigest()
            checked[f'{family}/{adapter.name}'] = {
                **{f'sha256 of {file}': digest(file) for file in ('adapter_model.safetensors', 'adapter_config.json')}, 'logits': found.tolist(),
            }
    (fixtures / 'exchange.json').write_text(json.dumps(checked) + '\n')


def account_for_keys(family, base, adapter):
    """The file's tensors are exactly the trained tensors of the model that PEFT makes of the configuration."""
    model = get_peft_model(open_model(family, base, torch.float32), PeftConfig.from_pretrained(adapter))
    weights = load_peft_weights(str(adapter), device='cpu')
    result = set_peft_model_state_dict(model, weights)
    own = [name for name, _ in model.named_parameters() if 'lora_' in name or 'modules_to_save' in name]
    missing = [name for name in result.missing_keys if name in own]
    assert not missing, f'{adapter}: missing {missing}'
    assert not result.unexpected_keys, f'{adapter}: unexpected {result.unexpected_keys}'
    assert len(weights) == len(own), f'{adapter}: expected {len(own)} tensors, found {len(weights)}'
    return len(weights)
