"""fixtures/bert/merging: adapters that PEFT saved, and what merging them makes of three matrices: by PEFT where it is right, by the formulas in numpy where it
is not (rank_pattern: peft issue 3737; rsLoRA and DoRA: 3761) or where it draws (DARE, by the masks of Philox 4x32-10).

    python golden_merge.py"""
import json
import os
import sys
import tempfile

sys.dont_write_bytecode = True

import numpy as np
import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import save_file

from golden_models import open_model
from golden_training import all_logits, versions
from make_golden import FIXTURES

BASE, FOLDER = FIXTURES / 'bert', FIXTURES / 'bert' / 'merging'
MATRICES = ['encoder.layer.0.attention.self.query', 'encoder.layer.1.intermediate.dense', 'encoder.layer.1.output.dense']
PLACES = {'encoder.layer.0.attention.self.query': 0, 'encoder.layer.1.intermediate.dense': 10, 'encoder.layer.1.output.dense': 11}  # among the model's matrices
ADAPTERS = {
    'plain': dict(r=2, lora_alpha=3),
    'other': dict(r=2, lora_alpha=5),
    'patterned': dict(r=3, lora_alpha=4, rank_pattern={'query': 1, 'layer.1.output.dense': 4}, alpha_pattern={'query': 5}),
    'rslora': dict(r=4, lora_alpha=2, use_rslora=True, target_modules=MATRICES[:2]),
    'dora': dict(r=2, lora_alpha=3, use_dora=True),
}
EVERY = 5  # of a matrix's numbers are kept
# adapters, weights, and of PEFT's options what the method has
BY_PEFT = {method: dict(adapters=['plain', 'other'], weights=[0.7, -0.4], method=method) for method in ('cat', 'linear', 'svd')}
BY_PEFT['svd']['rank'] = 3
for method in ('ties', 'ties_svd', 'magnitude_prune', 'magnitude_prune_svd'):
    BY_PEFT[method] = dict(adapters=['plain', 'other'], weights=[0.7, 1.1], method=method, density=0.3, **({'rank': 6} if method.endswith('svd') else {}))
MIX = dict(adapters=['plain', 'patterned', 'rslora'], weights=[0.5, 0.3, -0.2])
WITH_DORA = dict(adapters=['plain', 'patterned', 'rslora', 'dora'], weights=[0.5, 0.3, -0.2, 0.6])
BY_NUMPY = {
    'mix': dict(MIX, method='cat'),
    'mix-svd': dict(MIX, method='svd', rank=4),
    'mix-ties': dict(MIX, method='ties_svd', density=0.4, rank=5),
    'dora-svd': dict(WITH_DORA, method='svd', rank=8),
    'dora-base': dict(WITH_DORA, method='cat', intoBase=True),
    'dare-ties-base': dict(WITH_DORA, method='dare_ties_svd', density=0.6, seed=2 ** 33 + 7, intoBase=True),
    'dare': dict(adapters=['plain', 'other'], weights=[0.7, -0.4], method='dare_linear_svd', density=0.5, seed=5, rank=32),
    'dare-factors': dict(adapters=['plain', 'other'], weights=[0.7, -0.4], method='dare_linear', density=0.5, seed=5),
    'dare-ties-factors': dict(adapters=['plain', 'other'], weights=[0.7, 0.4], method='dare_ties', density=0.5, seed=6),
}


def make_adapters():
    for number, (name, settings) in enumerate(ADAPTERS.items()):
        torch.manual_seed(number)
        model = get_peft_model(open_model('bert', BASE, torch.float32), LoraConfig(**{'target_modules': MATRICES, **settings}))
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if 'lora_A' in key or 'lora_B' in key:
                    parameter.normal_(0, 0.3)
                if 'magnitude' in key:
                    parameter.mul_(1 + 0.2 * torch.randn_like(parameter))
        model.peft_config['default'].base_model_name_or_path = 'golden/bert'
        model.save_pretrained(FOLDER / name)
        (FOLDER / name / 'README.md').unlink(missing_ok=True)
        (FOLDER / name / 'adapter_model.safetensors').chmod(0o644)


def load(names):
    model = PeftModel.from_pretrained(open_model('bert', BASE, torch.float32), FOLDER / names[0], adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(FOLDER / name, adapter_name=name)
    return model


def layer(model, matrix):
    return model.get_submodule(f'base_model.model.bert.{matrix}')


def by_peft(adapters, weights, method, density=None, rank=None, reopens=False):
    model = load(adapters).double()
    model.base_model.add_weighted_adapter(adapters, weights, 'merged', method, svd_rank=rank, density=density)
    if reopens:
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder, selected_adapters=['merged'])
            model.delete_adapter('merged')
            model.load_adapter(f'{folder}/merged', adapter_name='merged')
    return {matrix: layer(model, matrix).get_delta_weight('merged').detach().numpy() for matrix in MATRICES}


def factors(name, matrix):
    """The adapter's A, B and scale in float64, and W and DoRA's magnitude; None for a matrix that it does not adapt."""
    target = layer(load([name]), matrix)
    if not hasattr(target, 'lora_A'):
        return None
    number = lambda tensor: tensor.detach().double().numpy()
    A, B = number(target.lora_A[name].weight), number(target.lora_B[name].weight)
    config = peft.PeftConfig.from_pretrained(FOLDER / name)
    r, alpha = A.shape[0], next((a for key, a in config.alpha_pattern.items() if key in matrix), config.lora_alpha)
    scale = alpha / (np.sqrt(r) if config.use_rslora else r)
    return dict(A=A, B=B, scale=scale, W=number(target.get_base_layer().weight), magnitude=number(target.lora_magnitude_vector[name].weight) if config.use_dora else None)


def update(one):
    product = one['scale'] * one['B'] @ one['A']
    if one['magnitude'] is None:
        return product
    V = one['W'] + product
    return one['magnitude'][:, None] * V / np.linalg.norm(V, axis=1, keepdims=True) - one['W']


def philox(counter, key):
    """Philox 4x32 with 10 rounds. counter: [n, 4], key: [2] → [n, 4]"""
    c, k, mask = [counter[:, i].astype(np.uint64) for i in range(4)], [np.uint64(x) for x in key], np.uint64(0xffffffff)
    for _ in range(10):
        p, q = c[0] * np.uint64(0xd2511f53), c[2] * np.uint64(0xcd9e8d57)
        high, low = np.uint64(32), mask
        c = [(q >> high) ^ c[1] ^ k[0], q & low, (p >> high) ^ c[3] ^ k[1], p & low]
        k = [(k[0] + np.uint64(0x9e3779b9)) & mask, (k[1] + np.uint64(0xbb67ae85)) & mask]
    return np.stack(c, 1)


def mask(shape, density, seed, adapter, matrix, part):
    n, step = int(np.prod(shape)), 3 * PLACES[matrix] + part
    blocks = -(-n // 4)
    counter = np.stack([np.arange(blocks), np.full(blocks, step), np.full(blocks, adapter), np.full(blocks, seed >> 32)], 1)
    return ((philox(counter, [seed & 0xffffffff, 11]).reshape(-1)[:n] + 0.5) / 2 ** 32 < density).reshape(shape)


def combine(tensors, weights, method, keep):
    tensors = np.stack([keep(i, x) for i, x in enumerate(tensors)])
    weights = np.reshape(weights, (-1, 1, 1))
    if 'ties' not in method:
        return (weights * tensors).sum(0)
    chosen = np.sign(tensors) == np.where(tensors.sum(0) >= 0, 1, -1)
    return (weights * tensors * chosen).sum(0) / np.maximum(chosen.sum(0), 1)


def by_numpy(adapters, weights, method, density=1, rank=None, seed=0, intoBase=False):
    merged = {}
    for matrix in MATRICES:
        ones = [(place, weight, factors(name, matrix)) for place, (name, weight) in enumerate(zip(adapters, weights))]
        places, present, ones = zip(*[entry for entry in ones if entry[2] is not None])

        def keep(part):
            if method.startswith('dare'):
                return lambda i, x: x * mask(x.shape, density, seed, places[i], matrix, part) / density
            if not method.startswith(('ties', 'magnitude')):
                return lambda i, x: x
            return lambda i, x: x * (np.abs(x) >= np.sort(np.abs(x).reshape(-1))[x.size - int(density * x.size)])

        if method != 'cat' and not method.endswith('svd'):
            total = [weight * one['scale'] for weight, one in zip(present, ones)]
            roots = np.sqrt(np.abs(total))
            A = combine([one['A'] for one in ones], roots * np.where(np.array(total) < 0, -1, 1), method, keep(1))
            merged[matrix] = combine([one['B'] for one in ones], roots, method, keep(2)) @ A
            continue
        M = combine([update(one) for one in ones], present, method, keep(0))
        if rank is not None and not intoBase:
            U, S, V = np.linalg.svd(M)
            M = U[:, :rank] * S[:rank] @ V[:rank]
        merged[matrix] = M
    return merged


def logits_with(updates, batches):
    """The base with the updates added to its weights by hand."""
    model = open_model('bert', BASE, torch.float64)
    with torch.no_grad():
        for matrix, M in updates.items():
            model.get_submodule(f'bert.{matrix}').weight.add_(torch.from_numpy(np.asarray(M, np.float64)))
    return all_logits(model, 'bert', batches)


def show_peft(adapters, weights, method, **others):
    """What PEFT itself makes of a case that is not left to it, once it is saved and loaded again."""
    expected = by_numpy(adapters, weights, method, **others)
    try:
        found = by_peft(adapters, weights, method, others.get('density'), others.get('rank'), reopens=True)
        worst = max(np.abs(found[matrix] - expected[matrix]).max() / np.abs(expected[matrix]).max() for matrix in MATRICES)
        return f'off by {worst:.2g} of the largest number'
    except Exception as error:
        return f'{type(error).__name__}: {str(error).splitlines()[0]}'


def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    make_adapters()
    batches = json.loads((BASE / 'golden.json').read_text())['batches']
    cases, numbers = {}, {}
    for maker, table in ((by_peft, BY_PEFT), (by_numpy, BY_NUMPY)):
        for name, options in table.items():
            updates = maker(**options)
            cases[name] = {**options, 'by': maker.__name__[3:], 'logits': logits_with(updates, batches)}
            numbers.update({f'{name}/{matrix}': np.ascontiguousarray(M.reshape(-1)[::EVERY], np.float64) for matrix, M in updates.items()})
    for adapters, method in ((['rslora', 'plain'], 'cat'), (['patterned', 'patterned'], 'linear'), (['patterned', 'plain'], 'svd'), (['plain', 'dora'], 'svd')):
        print('PEFT', peft.__version__, '+'.join(adapters), f'{method}:', show_peft(adapters, [0.5, 0.5], method, **({'rank': 8} if method == 'svd' else {})))
    save_file(numbers, FOLDER / 'merging.safetensors')
    (FOLDER / 'merging.safetensors').chmod(0o644)
    (FOLDER / 'merging.json').write_text(json.dumps({'versions': versions(peft), 'every': EVERY, 'cases': cases}, indent=1) + '\n')


if __name__ == '__main__':
    if os.environ.get('PYTHONHASHSEED') != '0':  # PEFT writes sets of names
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, 'PYTHONHASHSEED': '0', 'HF_HUB_OFFLINE': '1'})
    main()
