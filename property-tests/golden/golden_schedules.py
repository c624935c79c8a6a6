"""Learning rates of transformers' schedulers: fixtures/schedules.json holds the rate of each step, as the optimizer gets it.

Needs torch and transformers. Both of their version numbers are in the fixture."""
import json
from pathlib import Path

import torch
import transformers
from transformers.optimization import get_scheduler

PEAK = 3e-4
CASES = [
    ('linear', 20, 0, {}),
    ('linear', 20, 5, {}),
    ('linear', 7, 7, {}),
    ('cosine', 20, 5, {}),
    ('cosine', 20, 0, {'num_cycles': 1.25}),
    ('cosine_with_restarts', 20, 5, {}),
    ('cosine_with_restarts', 23, 2, {'num_cycles': 3}),
    ('constant', 6, 0, {}),
    ('constant_with_warmup', 20, 5, {}),
    ('polynomial', 20, 5, {}),
    ('polynomial', 20, 0, {'power': 2.5, 'lr_end': 1e-5}),
    ('polynomial', 9, 3, {'power': 0.5, 'lr_end': 0.0}),
]


def rates(name, steps, warmup, options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps, scheduler_specific_kwargs=options)
    drawn = []
    for _ in range(steps):
        drawn.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return drawn


def write(path):
    cases = [
        {'name': name, 'steps': steps, 'warmupSteps': warmup, 'options': options, 'rates': rates(name, steps, warmup, options)}
        for name, steps, warmup, options in CASES
    ]
    versions = {'torch': torch.__version__, 'transformers': transformers.__version__}
    path.write_text(json.dumps({'versions': versions, 'peak': PEAK, 'cases': cases}, indent=1) + '\n')


if __name__ == '__main__':
    write(Path(__file__).parent / 'fixtures' / 'schedules.json')
