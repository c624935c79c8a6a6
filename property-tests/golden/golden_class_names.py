"""Parquet files with named classes, as the datasets library writes them: fixtures/datasets holds the files, and class_names.json their rows by name.

Needs PyPI's datasets; its version number is in the fixture. Two files get the metadata of earlier versions, which wrote lists otherwise."""
import importlib.metadata
import json
from pathlib import Path

import pyarrow.parquet as parquet
from datasets import ClassLabel, Dataset, Features, List, Value

folder = Path(__file__).parent / 'fixtures' / 'datasets'
folder.mkdir(exist_ok=True)
CLASSES = ['neg', 'pos', 'so-so']
TAGS = ['O', 'B-PER', 'I-PER']


def written(name, columns, features, metadata=None):
    """Writes a file, and returns its rows with the names of the library."""
    data = Dataset.from_dict(columns, features=Features(features))
    file = folder / name
    data.to_parquet(file)
    if metadata is not None:
        table = parquet.read_table(file)
        parquet.write_table(table.replace_schema_metadata({'huggingface': json.dumps({'info': {'features': metadata}})}), file)

    def named(column, value):
        feature = features[column]
        if isinstance(feature, List): return [named_of(feature.feature, one) for one in value]
        return named_of(feature, value)

    return [{column: named(column, value) for column, value in row.items()} for row in data]


def named_of(feature, value):
    return value if not isinstance(feature, ClassLabel) or value == -1 else feature.int2str(value)


text, classes, tags = Value('string'), ClassLabel(names=CLASSES), ClassLabel(names=TAGS)
tokens = {'tokens': [['Anna', 'Bell', 'ran'], ['we', 'saw', 'Otto']], 'ner_tags': [[1, 2, 0], [0, 0, 1]]}
of_tokens = {'tokens': List(text), 'ner_tags': List(tags)}
stored = {'names': TAGS, '_type': 'ClassLabel'}
rows = {
    'classes': written('classes.parquet', {'text': ['a', 'b', 'c', 'd', 'e'], 'label': [1, 0, 2, 1, -1]}, {'text': text, 'label': classes}),
    'sets': written('sets.parquet', {'text': ['a', 'b', 'c'], 'label': [[0, 2], [], [1]]}, {'text': text, 'label': List(classes)}),
    'tags': written('tags.parquet', tokens, of_tokens),
    'tags-2': written('tags-2.parquet', tokens, of_tokens, {'ner_tags': {'feature': stored, '_type': 'Sequence'}}),
    'tags-1': written('tags-1.parquet', tokens, of_tokens, {'ner_tags': [stored]}),
    'outside': written('outside.parquet', {'text': ['a'], 'label': [7]}, {'text': text, 'label': Value('int64')}, {'label': {'names': CLASSES, '_type': 'ClassLabel'}}),
}
out = {'datasets': importlib.metadata.version('datasets'), 'rows': rows}
(Path(__file__).parent / 'fixtures' / 'class_names.json').write_text(json.dumps(out, indent=1) + '\n')
