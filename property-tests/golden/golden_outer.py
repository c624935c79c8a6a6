"""PyTorch's SGD with Nesterov momentum on the mean difference of replicas: fixtures/outer.json holds its parameters after each round.

Needs torch, whose version number is in the fixture."""
import json
from pathlib import Path

import torch

CASES = [(0.7, 0.9), (1.0, 0.5), (0.3, 0.99)]
SIZE, REPLICAS, ROUNDS = 5, 3, 4


def case(seed, rate, momentum):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    parameter = torch.nn.Parameter(draw(SIZE))
    optimizer = torch.optim.SGD([parameter], lr=rate, momentum=momentum, nesterov=True)
    start, rounds = parameter.tolist(), []
    for _ in range(ROUNDS):
        replicas = parameter.detach() - 0.1 * draw(REPLICAS, SIZE)
        parameter.grad = (parameter.detach() - replicas).mean(0)
        optimizer.step()
        rounds.append({'replicas': replicas.tolist(), 'parameters': parameter.tolist()})
    return {'rate': rate, 'momentum': momentum, 'start': start, 'rounds': rounds}


def write(path):
    cases = [case(seed, *settings) for seed, settings in enumerate(CASES)]
    path.write_text(json.dumps({'versions': {'torch': torch.__version__}, 'cases': cases}, indent=1) + '\n')


if __name__ == '__main__':
    write(Path(__file__).parent / 'fixtures' / 'outer.json')
