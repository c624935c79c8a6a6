"""Preference losses on a decoder with PEFT's LoRA, by TRL's own code, in float64: log-probabilities, losses and gradients of two pairs, and KTO's of four rated answers.

Needs PyPI's trl 1.16 beside peft and transformers. DPO and IPO are DPOTrainer's and KTO is KTOTrainer's, whose reference model is the base model. ORPO and SimPO are the losses of
TRL's experimental trainers on mean log-probabilities; ORPO's likelihood term is the paper's, the mean over the chosen answer alone."""
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

os.environ['TRL_EXPERIMENTAL_SILENCE'] = '1'
sys.dont_write_bytecode = True

import torch
import trl
from datasets import Dataset
from safetensors.torch import save_file
from peft import LoraConfig
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

from golden_decoders import LORA, TARGETS, in_float64, lora
from golden_training import randomize, trained

SETTINGS = {
    'dpo': dict(beta=0.3, labelSmoothing=0.0, gamma=0.0), 'ipo': dict(beta=0.4, labelSmoothing=0.0, gamma=0.0),
    'orpo': dict(beta=0.2, labelSmoothing=0.0, gamma=0.0), 'simpo': dict(beta=2.0, labelSmoothing=0.1, gamma=0.7),
}
PAIRS = [
    dict(prompt_ids=[1, 7, 12, 30], chosen_ids=[9, 41, 5, 2], rejected_ids=[33, 2]),
    dict(prompt_ids=[1, 22], chosen_ids=[17, 2], rejected_ids=[8, 8, 45, 11, 2]),
]

RATED_SETTINGS = dict(beta=0.3, desirableWeight=1.2, undesirableWeight=0.7)
# the mismatched answers of these have a ratio above 0
RATED = [
    dict(prompt_ids=[1, 4, 44, 37], completion_ids=[3, 27, 46, 2], label=True),
    dict(prompt_ids=[1, 16], completion_ids=[30, 2], label=False),
    dict(prompt_ids=[1, 49, 4], completion_ids=[36, 17, 2], label=False),
    dict(prompt_ids=[1, 31], completion_ids=[34, 2], label=True),
]


def tokenizer_of(folder):
    return PreTrainedTokenizerFast(tokenizer_file=str(folder / 'tokenizer.json'), unk_token='<unk>', bos_token='<s>', eos_token='</s>', pad_token='<unk>')


def adapter_and_base(folder):
    base = AutoModelForCausalLM.from_pretrained(folder, attn_implementation='eager', dtype=torch.float32)
    return base, LoraConfig(task_type='CAUSAL_LM', r=LORA['rank'], lora_alpha=LORA['alpha'], target_modules=TARGETS, lora_dropout=0.0)


def kto_loss_of(folder):
    rows = Dataset.from_list([dict(prompt='w3', completion=' w4', label=True), dict(prompt='w3', completion=' w5', label=False)])
    config = KTOConfig(output_dir='unused', beta=RATED_SETTINGS['beta'], desirable_weight=RATED_SETTINGS['desirableWeight'], undesirable_weight=RATED_SETTINGS['undesirableWeight'],
                       use_cpu=True, bf16=False, fp16=False, report_to=[], disable_dropout=True, gradient_checkpointing=False, per_device_train_batch_size=4)
    base, adapter = adapter_and_base(folder)
    trainer = KTOTrainer(model=base, args=config, train_dataset=rows, processing_class=tokenizer_of(folder), peft_config=adapter)
    randomize(trainer.model, {'.A': 0.2, '.B': 0.2})
    model = trainer.model.double()
    with_plain_head(model)
    others = [RATED[-1], *RATED[:-1]]  # the trainer's rotation of a batch
    inputs = trainer.data_collator([dict(row, KL_completion_ids=other['completion_ids']) for row, other in zip(RATED, others)])
    loss = trainer.compute_loss(model, inputs)
    return model, loss, trainer._metrics['train']['kl'][-1]


def trainer_of(folder, loss, beta):
    rows = Dataset.from_list([dict(prompt='w3', chosen=' w4', rejected=' w5')])
    config = DPOConfig(output_dir='unused', loss_type=[{'dpo': 'sigmoid'}.get(loss, loss)], beta=beta, use_cpu=True, bf16=False, fp16=False, report_to=[], disable_dropout=True,
                       gradient_checkpointing=False, per_device_train_batch_size=2, padding_free=False)
    # a trainer that makes the adapter itself takes the base model as its reference
    base, adapter = adapter_and_base(folder)
    trainer = DPOTrainer(model=base, args=config, train_dataset=rows, processing_class=tokenizer_of(folder), peft_config=adapter)
    randomize(trainer.model, {'.A': 0.2, '.B': 0.2})
    return trainer


def mean_logs(model, ids, prompt):
    """The mean of log p over an answer's tokens."""
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    logs = torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return logs[prompt - 1:].mean()


def with_plain_head(model):
    """TRL's fused head computes in float32; this one gives the same fields in the model's own precision."""
    decoder = model.base_model.model
    logits_of = type(decoder).forward

    def forward(*args, labels=None, fused_lm_head=False, **others):
        logits = logits_of(decoder, *args, **others).logits[:, :-1]
        logs = torch.log_softmax(logits, -1)
        after = labels[:, 1:]
        per_token = logs.gather(-1, after.clamp(min=0)[..., None])[..., 0].masked_fill(after == -100, 0)
        zeros = torch.zeros_like(per_token)
        return SimpleNamespace(log_probs=per_token, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())

    decoder.forward = forward


def loss_of(folder, loss, settings):
    if loss in ('dpo', 'ipo'):
        trainer = trainer_of(folder, loss, settings['beta'])
        model = trainer.model.double()
        with_plain_head(model)
        inputs = trainer.data_collator([dict(pair) for pair in PAIRS])
        return model, trainer.compute_loss(model, inputs)
    model = lora(folder).double()
    chosen, rejected = (torch.stack([mean_logs(model, pair['prompt_ids'] + pair[f'{side}_ids'], len(pair['prompt_ids'])) for pair in PAIRS]) for side in ('chosen', 'rejected'))
    stub = SimpleNamespace(beta=settings['beta'], accelerator=SimpleNamespace(device='cpu'), loss_type='simpo', simpo_gamma=settings['gamma'],
                           label_smoothing=settings['labelSmoothing'], alpha=0.0)
    if loss == 'simpo':
        return model, CPOTrainer.cpo_loss(stub, chosen, rejected)[0].mean()
    single, torch.Tensor.float = torch.Tensor.float, lambda x: x  # the trainer computes in float32
    try:
        ratios = ORPOTrainer.odds_ratio_loss(stub, chosen, rejected)[0]
    finally:
        torch.Tensor.float = single
    return model, (-chosen - ratios).mean()


def main():
    folder = Path(__file__).parent / 'fixtures' / 'llama'
    made = folder / 'preference'
    in_float64('llama')
    losses, tensors = {}, {}
    for loss, settings in SETTINGS.items():
        model, value = loss_of(folder, loss, settings)
        value.backward()
        losses[loss] = dict(settings, loss=value.item())
        assert value.dtype == torch.float64, value.dtype
        tensors |= {f'{loss}/{name}': parameter.grad.contiguous() for name, parameter in trained(model).items()}
    model, value, kl = kto_loss_of(folder)
    value.backward()
    assert value.dtype == torch.float64, value.dtype
    rated = dict(RATED_SETTINGS, loss=value.item(), kl=kl, rows=RATED)
    tensors |= {f'kto/{name}': parameter.grad.contiguous() for name, parameter in trained(model).items()}
    saved = lora(folder)
    saved.peft_config['default'].base_model_name_or_path = 'golden/llama'
    saved.save_pretrained(made)
    (made / 'README.md').unlink(missing_ok=True)
    save_file(tensors, made / 'gradients.safetensors')
    (made / 'golden.json').write_text(json.dumps(dict(versions=dict(trl=trl.__version__, torch=torch.__version__), pairs=PAIRS, losses=losses, kto=rated), indent=1) + '\n')
    print(losses, rated)


main()
