"""Trains the embedded model's tokenizer, byte-level BPE, on the lines of standard input, and writes its three files. Needs `pip install tokenizers`.

    node dist/scripts/embeddedModel/corpus.js --corpora DIR --exclude FILE | python scripts/embeddedModel/buildTokenizer.py FOLDER
"""

import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

vocabulary_size = 8192  # small, for a small model; a multiple of 64
leading = ["<s>", "<pad>", "</s>", "<unk>"]  # RoBERTa's order; <mask> comes last
roles = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>"}

tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False)
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=vocabulary_size - 1, min_frequency=2, special_tokens=leading, initial_alphabet=alphabet)
tokenizer.train_from_iterator((line.rstrip("\n") for line in sys.stdin), trainer)
tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)

folder = Path(sys.argv[1])
settings = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 256, "add_prefix_space": False, "errors": "replace"}
mask = {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
for name, content in {
    "tokenizer.json": json.loads(tokenizer.to_str()),
    "tokenizer_config.json": {**settings, "clean_up_tokenization_spaces": False, **roles, "mask_token": "<mask>"},
    "special_tokens_map.json": {**roles, "mask_token": mask},
}.items():
    (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
