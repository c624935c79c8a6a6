"""LoRA by PEFT in processes of PyTorch's DistributedDataParallel (gloo), one part of each step for each: the mean loss of each step, as JSON.
Arguments: the folders of a model and an adapter, and a JSON file {lr, weightDecay, maxGradNorm, steps: [[{ids, labels} by part]]}."""
import json
import os
import sys
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from peft import PeftModel
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForSequenceClassification

PAD = 1


def padded(ids):
    longest = max(map(len, ids))
    return {
        'input_ids': torch.tensor([row + [PAD] * (longest - len(row)) for row in ids]),
        'attention_mask': torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids]),
    }


def optimizer(model, run):
    """Decay on matrices alone, as transformers' Trainer has it."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [{'params': [p for p in trained if (p.dim() > 1) == decays], 'weight_decay': run['weightDecay'] if decays else 0.0} for decays in (True, False)]
    return torch.optim.AdamW(groups, lr=run['lr'], betas=(0.9, 0.999), eps=1e-8, foreach=False, fused=False)


def train(rank, model_folder, adapter, run, folder):
    torch.set_num_threads(1)
    processes = len(run['steps'][0])
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=processes)
    base = AutoModelForSequenceClassification.from_pretrained(model_folder, num_labels=2)
    model = DistributedDataParallel(PeftModel.from_pretrained(base, adapter, is_trainable=True).eval())  # without dropout
    adamw, losses = optimizer(model, run), []
    for step in run['steps']:
        part = step[rank]
        loss = model(**padded(part['ids']), labels=torch.tensor(part['labels'])).loss
        loss.backward()  # averages the gradients of all processes
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], run['maxGradNorm'])
        adamw.step()
        adamw.zero_grad()
        mean = loss.detach().double()
        dist.all_reduce(mean)
        losses.append(mean.item() / processes)
    if rank == 0:
        with open(f'{folder}/losses.json', 'w') as file:
            json.dump(losses, file)
    dist.destroy_process_group()


if __name__ == '__main__':
    os.environ.setdefault('GLOO_SOCKET_IFNAME', 'lo')
    model_folder, adapter, file = sys.argv[1:]
    with open(file) as opened:
        run = json.load(opened)
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(train, (model_folder, adapter, run, folder), nprocs=len(run['steps'][0]), start_method='fork')
        with open(f'{folder}/losses.json') as losses:
            print(losses.read())
