"""ARPA files by KenLM's lmplz for small made-up texts, and scores by KenLM's Python module: for these files, and for ARPA files that this library wrote.

lmplz is built from the source distribution of PyPI's kenlm (cmake, and Boost's headers and libraries); the module is the same package."""
import hashlib
import json
import random
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

import kenlm

# Arguments of lmplz: text, order, thresholds, fallback discounts.
MODELS = {
    'order-1': ('skewed', 1, None, None),
    'order-2': ('skewed', 2, None, None),
    'order-3': ('skewed', 3, None, None),
    'order-4-fallback': ('skewed', 4, None, []),
    'order-5-fallback': ('skewed', 5, None, []),
    'order-6-fallback': ('skewed', 6, None, []),
    'order-3-pruned': ('skewed', 3, [0, 0, 1], None),
    'order-4-pruned': ('skewed', 4, [0, 1], []),
    'order-3-fewer-words': ('skewed', 3, [1, 1, 2], None),
    'tiny-order-5': ('tiny', 5, None, []),
    'tiny-order-2': ('tiny', 2, None, [0.3, 0.6]),
}
PROBES = [
    '', 'the', 'w1 w2 w3', 'w9 w0 w0 w1', 'never seen before', 'w1 unseen w2 w1', 'Ünïcödé w3 w1 w2', 'w0 w0 w0 w0 w0 w0 w0', '<s> w1 </s>', '<unk> w2', 'w12 w4 w7 w3 w1 w5 w2', '日本 w1',
    'a rose is a rose', 'rose is a', 'is is is', 'w28 w29',
]
TINY = ['a rose is a rose is a rose', 'a rose is red', 'red is a color', 'is a rose a color', 'a a a']


def texts():
    """Words as often as Zipf has it, each likelier after some: so that there are counts of 1, 2, 3 and 4 at each order up to three. One sentence is empty."""
    draw = random.Random(0)
    words = [f'w{i}' for i in range(70)] + ['Ünïcödé', '日本']
    lines = []
    for _ in range(170):
        line, at = [], 0
        for _ in range(draw.randint(1, 8)):
            rank = min(int((1 / (1 - draw.random() * 0.99)) - 1), len(words) - 1)
            at = rank if draw.random() < 0.6 else (3 * at + 1) % 11
            line.append(words[at])
        lines.append(' '.join(line))
    return {'skewed': lines[:60] + [''] + lines[60:], 'tiny': TINY}


def estimated(lmplz, lines, order, prune, fallback):
    with tempfile.TemporaryDirectory() as folder:
        text, arpa = Path(folder) / 'text', Path(folder) / 'arpa'
        text.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')
        words = ['--prune', *map(str, prune)] if prune else []
        if fallback is not None:
            words += ['--discount_fallback', *map(str, fallback)]
        subprocess.run([lmplz, '-o', str(order), '--text', text, '--arpa', arpa, '-S', '1G', '-T', f'{folder}/', *words], check=True, stderr=subprocess.DEVNULL)
        return arpa.read_text(encoding='utf-8')


def scores(arpa):
    """By probe and word, </s> at the end: log10, the length of the n-gram that matched, whether the word is unknown. KenLM reads no unigram models."""
    with tempfile.NamedTemporaryFile('w', suffix='.arpa', encoding='utf-8') as file:
        file.write(arpa)
        file.flush()
        model = kenlm.Model(file.name)
        return [[[round(log10, 7), matched, unknown] for log10, matched, unknown in model.full_scores(probe)] for probe in PROBES]


def write(path, lmplz):
    made = texts()
    models = []
    for name, (text, order, prune, fallback) in MODELS.items():
        arpa = estimated(lmplz, made[text], order, prune, fallback)
        models.append({'name': name, 'text': text, 'order': order, 'prune': prune or [], 'fallback': fallback, 'arpa': arpa, 'scores': scores(arpa) if order > 1 else None})
    path.write_text(json.dumps({'versions': {'kenlm': version('kenlm')}, 'texts': made, 'probes': PROBES, 'models': models}, ensure_ascii=False, indent=1) + '\n', encoding='utf-8')


def check(path, folder):
    """For each ARPA file that this library wrote: its SHA-256, and KenLM's scores of the probes."""
    written = {}
    for file in sorted(folder.glob('*.arpa')):
        arpa = file.read_text(encoding='utf-8')
        if 'ngram 2=' in arpa:
            written[file.stem] = {'sha256': hashlib.sha256(arpa.encode()).hexdigest(), 'scores': scores(arpa)}
    path.write_text(json.dumps({'versions': {'kenlm': version('kenlm')}, 'written': written}, indent=1) + '\n', encoding='utf-8')
