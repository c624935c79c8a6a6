"""The paper's equations (5), (7), (8), (9), (11) and (12), transcribed for torch's autograd: one gated step of SaLoRA."""
import math

import torch

from golden_models import SEED, normal, padded

METHOD = dict(tau=0.8, gamma=-0.1, zeta=1.1, beta=0.1, targetDensity=0.5)
LAMBDA = 0.7
MATRICES = ('attention.self.query', 'attention.self.key', 'attention.self.value', 'attention.output.dense', 'intermediate.dense', 'output.dense')


def sample(log_theta, u):
    """(7)"""
    tau, gamma, zeta = METHOD['tau'], METHOD['gamma'], METHOD['zeta']
    s = torch.sigmoid((torch.log(u / (1 - u)) + log_theta) / tau) * (zeta - gamma) + gamma
    return s, torch.clamp(s, 0, 1)


def expected_count(log_theta):
    """(8)"""
    return torch.sigmoid(log_theta - METHOD['tau'] * math.log(-METHOD['gamma'] / METHOD['zeta'])).sum()


def orthogonality(A, B):
    """(9)"""
    identity = torch.eye(A.shape[0], dtype=A.dtype)
    return ((B.T @ B - identity) ** 2).sum() + ((A @ A.T - identity) ** 2).sum()


class Gated(torch.nn.Module):
    """(5): h = W x + scale · B (g ⊙ (A x))"""

    def __init__(self, linear, A, B, g, scale):
        super().__init__()
        self.linear, self.A, self.B, self.g, self.scale = linear, A, B, g, scale

    def forward(self, x):
        return self.linear(x) + self.scale * ((x @ self.A.T) * self.g) @ self.B.T


def gated_step(model, family, batch, lora, dtype):
    """→ the objective's values, and by name gradients and (`gated/…`) the log θ and u that were used"""
    model = model.to(dtype).train()
    encoder = model.get_submodule(family)
    names = [f'encoder.layer.{n}.{matrix}' for n in range(model.config.num_hidden_layers) for matrix in MATRICES]
    leaf = lambda x: x.to(dtype).requires_grad_(True)
    r, count = lora['rank'], len(names) * lora['rank']
    log_theta = leaf(normal('logTheta', (count,), 1.0))
    u = torch.rand(count, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64).clamp(1e-6, 1 - 1e-6).to(torch.float32).to(dtype)
    multiplier = torch.tensor(LAMBDA, dtype=torch.float32).to(dtype).requires_grad_(True)
    s, g = sample(log_theta, u)
    assert min((s.abs()).min(), (s - 1).abs().min()) > 1e-4, 'a gate at a kink: draw with another seed'

    factors = {}
    for i, name in enumerate(names):
        parent, _, child = name.rpartition('.')
        linear = encoder.get_submodule(name)
        A, B = leaf(normal(f'{name}.A', (r, linear.in_features), 0.2)), leaf(normal(f'{name}.B', (linear.out_features, r), 0.2))
        factors[name] = (A, B)
        setattr(encoder.get_submodule(parent), child, Gated(linear, A, B, g[i * r:(i + 1) * r], lora['alpha'] / r))

    task_loss = torch.nn.functional.cross_entropy(model(**padded(family, batch)).logits, torch.tensor(batch['labels']))
    regularizer = sum(orthogonality(A, B) for A, B in factors.values())
    # (11): each gate of matrix i costs d_i + k_i
    kept = sum(expected_count(log_theta[i * r:(i + 1) * r]) * (B.shape[0] + A.shape[1]) for i, (A, B) in enumerate(factors.values()))
    density = kept / sum(A.numel() + B.numel() for A, B in factors.values())
    # (12)
    loss = task_loss + METHOD['beta'] * regularizer + multiplier * (density - METHOD['targetDensity']) ** 2
    head = {name: parameter for name, parameter in model.named_parameters() if name.startswith('classifier.')}
    leaves = {**{f'{n}.A': A for n, (A, _) in factors.items()}, **{f'{n}.B': B for n, (_, B) in factors.items()}, **head, 'logTheta': log_theta, 'lambda': multiplier}
    gradients = dict(zip(leaves, torch.autograd.grad(loss, leaves.values())))
    values = {'settings': {**METHOD, 'lambda': multiplier.item()}, 'loss': loss.item(), 'taskLoss': task_loss.item(), 'orthogonality': regularizer.item(), 'density': density.item(), 'gates': g.tolist()}
    inputs = {'gated/logTheta': log_theta.detach().to(torch.float32), 'gated/u': u.to(torch.float32)}
    return values, {**{f'gradient/{name}': value.contiguous() for name, value in gradients.items()}, **inputs}
