"""The other side of a benchmark, a program: the same steps by PyTorch, transformers and PEFT. side.ts describes its output.

    python peer.py '{"model": …, "kind": "encoder", "batches": …, "method": "lora", "precision": "float32", "mode": "eager", "dropout": 0, "threads": 2, "steps": 100}'
"""

import json
import os
import resource
import sys
import time

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
import transformers

request = json.loads(sys.argv[1])
method, mode, steps = request["method"], request["mode"], request["steps"]
if request["threads"] > 0:
    torch.set_num_threads(request["threads"])
torch.manual_seed(0)

dropout, decoder = request["dropout"], request["kind"] == "decoder"
if decoder:
    task = "CAUSAL_LM"
    matrices = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = transformers.AutoModelForCausalLM.from_pretrained(request["model"])
else:
    task = "SEQ_CLS"
    matrices = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        request["model"],
        num_labels=2,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        classifier_dropout=dropout,
    )
if mode == "torchao":
    # its int8 for products of int8 numbers has no gradient, so the weights are int8 and the products are not
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(model, Int8WeightOnlyConfig(), lambda _, name: name.endswith(tuple(f".{matrix}" for matrix in matrices)))
if method == "lora":
    config = peft.LoraConfig(task_type=task, r=8, lora_alpha=16, target_modules=matrices)
    model = peft.get_peft_model(model, config)
elif method == "adalora":
    config = peft.AdaLoraConfig(
        task_type=task,
        init_r=12,
        target_r=8,
        lora_alpha=16,
        target_modules=matrices,
        tinit=steps // 10,
        tfinal=steps // 4,
        total_step=steps,
    )
    model = peft.get_peft_model(model, config)
elif method != "full":
    sys.exit(f"method: expected lora, adalora or full, found {method}")
model.train()
stepped = torch.compile(model) if mode == "compile" else model
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-5, weight_decay=0.01)

padding = model.config.pad_token_id


def tensors(batch):
    longest = max(len(example["inputIds"]) for example in batch)
    ids = torch.full((len(batch), longest), padding)
    for row, example in enumerate(batch):
        ids[row, : len(example["inputIds"])] = torch.tensor(example["inputIds"])
    mask = (ids != padding).long()
    labels = ids.masked_fill(mask == 0, -100) if decoder else torch.tensor([example["label"] for example in batch])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def batches_in(path):
    with open(path) as file:
        return [tensors(batch) for batch in json.load(file)]


batches = batches_in(request["batches"])
autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=request["precision"] == "bfloat16")
taken = 0


def step(number):
    global taken
    optimizer.zero_grad()
    with autocast:
        loss = stepped(**batches[number % len(batches)]).loss
    loss.backward()
    optimizer.step()
    if method == "adalora":
        model.base_model.update_and_allocate(taken)
    taken += 1


def evaluate():
    model.eval()
    with torch.no_grad(), autocast:
        for batch in batches_in(request["evaluation"]):
            model(**batch).logits
    model.train()


def say(fact):
    print(json.dumps(fact), flush=True)


step(0)
say({"versions": {name: module.__version__ for name, module in [("torch", torch), ("transformers", transformers), ("peft", peft)]}})
for line in sys.stdin:
    began = time.perf_counter()
    evaluate() if line.strip() == "evaluate" else step(int(line))
    say({"milliseconds": 1000 * (time.perf_counter() - began)})
say({"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)})
