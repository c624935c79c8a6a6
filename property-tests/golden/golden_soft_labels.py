"""fixtures/soft_labels.json: torch's CrossEntropyLoss with probabilities, and distillation of logits (Hinton et al., 2015)."""
import json
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)


def case(rows, classes, temperature, weighted):
    z = (3 * torch.randn(rows, classes)).requires_grad_()
    teacher = 3 * torch.randn(rows, classes)
    weights = torch.rand(classes) + .5 if weighted else None
    p = softmax(teacher / temperature, -1)
    loss = temperature ** 2 * cross_entropy(z / temperature, p, weights)
    loss.backward()
    if not weighted:  # the same but for the teacher's entropy
        divergence = kl_div(log_softmax(z / temperature, -1), p, reduction='batchmean')
        entropy = -(p * p.log()).sum(-1).mean()
        assert torch.allclose(loss, temperature ** 2 * (divergence + entropy))
    return {'logits': z.tolist(), 'teacher': teacher.tolist(), 'temperature': temperature, 'weights': None if weights is None
            else weights.tolist(), 'loss': loss.item(), 'gradient': z.grad.flatten().tolist()}


cases = [case(5, 3, 1, False), case(4, 2, 2, False), case(6, 4, 3.5, True)]
out = Path(__file__).parent / 'fixtures' / 'soft_labels.json'
out.write_text(json.dumps({'versions': {'torch': torch.__version__}, 'cases': cases}) + '\n')
