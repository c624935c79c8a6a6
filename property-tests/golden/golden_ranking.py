"""fixtures/ranking.json: what sentence-transformers 6.2 and scikit-learn 1.9 make of small random cases (PyPI's, with torch 2.15).

pairs: InformationRetrievalEvaluator (cosine) among the different second texts; a first text is answered by the second text of each of its rows
graded: scikit-learn's ndcg_score at 10, and the reciprocal rank of the best grade
"""
import json
from pathlib import Path

import numpy as np
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import cos_sim
from sklearn.metrics import ndcg_score

rng = np.random.default_rng(11)


class Lookup(dict):
    """A model of given vectors, as the evaluator asks for them."""
    model_card_data = None
    similarity_fn_name = 'cosine'

    def encode_query(self, texts, **_):
        return np.stack([self[text] for text in texts])

    encode_document = encode_query


def pairs(rows, firsts, seconds, width):
    first, second = rng.integers(firsts, size=rows), rng.integers(seconds, size=rows)
    unit = lambda n: (lambda x: x / np.linalg.norm(x, axis=1, keepdims=True))(rng.normal(size=(n, width)))
    a, b = unit(firsts), unit(seconds)
    b[second] += 0.7 * a[first]
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    vectors = Lookup({f'a{i}': x for i, x in enumerate(a)} | {f'b{i}': x for i, x in enumerate(b)})
    evaluator = InformationRetrievalEvaluator(
        queries={f'q{i}': f'a{x}' for i, x in enumerate(first)},
        corpus={f'd{x}': f'b{x}' for x in sorted(set(second.tolist()))},
        relevant_docs={f'q{i}': {f'd{y}' for y, z in zip(second, first) if z == x} for i, x in enumerate(first)},
        score_functions={'cosine': cos_sim}, precision_recall_at_k=[10], write_csv=False)
    scores = evaluator.compute_all_metrics(vectors)['cosine']
    return {'first': first.tolist(), 'second': second.tolist(), 'vectors': [[a[x].tolist(), b[y].tolist()] for x, y in zip(first, second)],
            'mrr': scores['mrr@k'][10], 'ndcg': scores['ndcg@k'][10], 'recall': scores['recall@k'][10]}


def graded(texts):
    grades = rng.integers(4, size=texts)
    grades[:2] = 0, 2
    scores = rng.normal(size=texts)
    order = np.argsort(-scores)
    rank = 1 + int(np.flatnonzero(grades[order] == grades.max())[0])
    return {'grades': grades.tolist(), 'scores': scores.tolist(), 'ndcg': ndcg_score([grades], [scores], k=10), 'mrr': 1 / rank if rank <= 10 else 0}


golden = {'pairs': [pairs(40, 40, 40, 4), pairs(40, 40, 15, 4), pairs(60, 12, 50, 3)], 'graded': [graded(n) for n in (2, 5, 12, 30, 30)]}
Path(__file__).with_name('fixtures').joinpath('ranking.json').write_text(json.dumps(golden) + '\n')
