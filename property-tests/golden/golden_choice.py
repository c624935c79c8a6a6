"""Log-likelihoods of the answers of multiple choice by transformers, in float64, and acc and acc_norm as lm-evaluation-harness defines them.

The prompt is that of its ARC tasks, `Question: …\\nAnswer:`, with each answer after a blank. As in its `_encode_pair`, an answer's tokens are those of
the whole text after the tokens of the prompt. acc takes the answer of the largest sum of log p, acc_norm that of the largest sum by characters."""
import json
import random
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from golden_decoders import in_float64


def rows():
    draw = random.Random(3)
    words = lambda count: ' '.join(f'w{draw.randint(3, 46)}' for _ in range(count))
    for i in range(60):
        choices = [words(draw.randint(1, 4)) for _ in range(draw.randint(3, 5))]
        right = draw.randrange(len(choices))
        question = words(draw.randint(2, 6))
        if i % 3 == 0:
            labels = [str(j + 1) for j in range(len(choices))] if i % 2 == 0 else list('ABCDE'[:len(choices)])
            yield dict(question=question, choices=dict(text=choices, label=labels), answerKey=labels[right]), choices, right
        else:
            yield dict(question=question, choices=choices, answer=right if i % 3 == 1 else 'ABCDE'[right]), choices, right


def log_likelihood(model, tokenizer, prompt, answer):
    whole, before = ([tokenizer.bos_token_id] + tokenizer(text, add_special_tokens=False).input_ids for text in (prompt + answer, prompt))
    with torch.no_grad():
        logs = torch.log_softmax(model(input_ids=torch.tensor([whole]), use_cache=False).logits[0], -1)
    return sum(logs[i - 1, whole[i]].item() for i in range(len(before), len(whole)))


def main():
    folder = Path(__file__).parent / 'fixtures' / 'llama'
    made = folder / 'choice'
    made.mkdir(exist_ok=True)
    in_float64('llama')
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation='eager', dtype=torch.float32).double()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / 'tokenizer.json'), unk_token='<unk>', bos_token='<s>', eos_token='</s>')
    written, logs, right, norm = [], [], [], []
    for row, choices, answer in rows():
        of = [log_likelihood(model, tokenizer, f"Question: {row['question']}\nAnswer:", f' {choice}') for choice in choices]
        by_length = [log / len(choice) for log, choice in zip(of, choices)]
        written.append(row)
        logs.append(of)
        right.append(of.index(max(of)) == answer)
        norm.append(by_length.index(max(by_length)) == answer)
    (made / 'questions.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in written))
    golden = dict(versions=dict(transformers=transformers.__version__, torch=torch.__version__), acc=sum(right) / len(right), acc_norm=sum(norm) / len(norm), logLikelihoods=logs)
    (made / 'golden.json').write_text(json.dumps(golden, indent=1) + '\n')
    print(golden['acc'], golden['acc_norm'], sum(a != b for a, b in zip(right, norm)))


main()
