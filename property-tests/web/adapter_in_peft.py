"""Scores of an adapter in PEFT, a program: python adapter_in_peft.py MODEL ADAPTER < texts, one a line. It prints a JSON list of probabilities by text."""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder, adapter = sys.argv[1:]
base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, dtype=torch.float32)
model = PeftModel.from_pretrained(base, adapter).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
with torch.no_grad():
    rows = [model(**tokenizer(text.strip(), return_tensors="pt")).logits.softmax(-1)[0].tolist() for text in sys.stdin]
print(json.dumps(rows))
