"""Entities and scores by seqeval's default mode: fixtures/entities.json holds random sentences of tags, valid or not, and what seqeval finds in them.

Needs PyPI's seqeval; its version number is in the fixture."""
import importlib.metadata
import json
import random
import warnings
from pathlib import Path

from seqeval.metrics import accuracy_score, classification_report, f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

warnings.filterwarnings('ignore')
draw = random.Random(20231019)
TYPES = ['person', 'creative-work', 'B']
SCHEMES = {'IOB': 'BI', 'BIOES': 'BIES', 'untyped': 'BI'}


def sentence(letters, typed):
    tag = lambda: 'O' if draw.random() < 0.4 else draw.choice(letters) + (f'-{draw.choice(TYPES)}' if typed else '')
    return [tag() for _ in range(draw.randint(1, 9))]


def changed(tags, letters, typed):
    """A system that is mostly right."""
    return [tag if draw.random() < 0.7 else other for tag, other in zip(tags, sentence(letters, typed) * 9)]


cases = []
for name, letters in SCHEMES.items():
    for size in (1, 6, 20):
        labels = [sentence(letters, name != 'untyped') for _ in range(size)]
        predictions = [changed(tags, letters, name != 'untyped') for tags in labels]
        report = classification_report(labels, predictions, output_dict=True, zero_division=0)
        cases.append({
            'scheme': name, 'labels': labels, 'predictions': predictions,
            'entities': [[[kind, start, end + 1] for kind, start, end in get_entities(tags)] for tags in labels],
            'precision': precision_score(labels, predictions, zero_division=0), 'recall': recall_score(labels, predictions, zero_division=0),
            'f1': f1_score(labels, predictions, zero_division=0), 'accuracy': accuracy_score(labels, predictions),
            'byType': {kind: [row['precision'], row['recall'], row['f1-score'], int(row['support'])] for kind, row in report.items() if not kind.endswith(' avg')},
        })

golden = {'seqeval': importlib.metadata.version('seqeval'), 'cases': cases}
(Path(__file__).parent / 'fixtures' / 'entities.json').write_text(json.dumps(golden) + '\n')
