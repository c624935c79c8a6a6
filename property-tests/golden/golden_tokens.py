"""Digests of the ids that Hugging Face's transformers give to rows of real text; the texts stay where they are."""
import hashlib
import json
from pathlib import Path

from transformers import AutoTokenizer

HERE = Path(__file__).parent
PER_DIGEST = 100


def rows(data):
    """What sentences.json names: lines are ended by LF and cells by tabs, and nothing is quoted."""
    for part in json.loads((HERE / 'sentences.json').read_text()):
        lines = (data / part['file']).read_bytes().decode('utf-8').split('\n')[part['from']:part['to']]
        for line in lines:
            cells = line.split('\t')
            yield [cells[column] for column in part['columns']], part['maxLength']


def digests(folder, data):
    """One for each hundred rows, of `ids;token types` a line."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lines, truncated = [], 0
    for texts, length in rows(data):
        encoded = tokenizer(*texts, truncation=True, max_length=length, return_token_type_ids=True).encodings[0]
        truncated += bool(encoded.overflowing)
        lines.append(f"{','.join(map(str, encoded.ids))};{','.join(map(str, encoded.type_ids))}\n")
    print(f'{len(lines)} rows, {truncated} of them truncated')
    return [hashlib.sha256(''.join(lines[i:i + PER_DIGEST]).encode()).hexdigest()[:16] for i in range(0, len(lines), PER_DIGEST)]


def write_digests(file, data, minilm):
    embedded = HERE.parents[1] / 'evaluation' / 'embedded' / 'model'
    file.write_text(json.dumps({'embedded': digests(embedded, data), 'minilm': digests(minilm, data)}, indent=1) + '\n')
