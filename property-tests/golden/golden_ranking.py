"""fixtures/ranking.json: what sentence-transformers 6.2 and scikit-learn 1.9 make of small random cases (PyPI's, with torch 2.15).

pairs: InformationRetrievalEvaluator (cosine) among the different second texts; a first text is answered by the second text of each of its rows
graded: scikit-learn's ndcg_score at 10, and the reciprocal rank of the best grade
losses: of vectors with gradients: MultipleNegativesRankingLoss of triplets, and MatryoshkaLoss of it on pairs and of CosineSimilarityLoss
cached: CachedMultipleNegativesRankingLoss in mini-batches
lists: ListNetLoss of scores and grades by query, and its gradient
"""
import json
from pathlib import Path

import numpy as np
import torch
from sentence_transformers.cross_encoder.losses import ListNetLoss
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss, CosineSimilarityLoss, MatryoshkaLoss, MultipleNegativesRankingLoss
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


class Given(torch.nn.Module):
    """A model whose embeddings are its features."""
    def forward(self, features):
        return {**features, 'sentence_embedding': features['vectors']}

    def get_embedding_dimension(self):
        return 6

    def __getitem__(self, _):
        return self


def loss(name, texts, sizes, pairs=3):
    vectors = torch.tensor(rng.normal(size=(texts, pairs, 6)), requires_grad=True)
    scores = torch.tensor(rng.uniform(size=pairs))
    inner = {'similarity': CosineSimilarityLoss}.get(name, MultipleNegativesRankingLoss)(Given())
    whole = MatryoshkaLoss(inner.model, inner, [6, *sizes]) if sizes else inner
    value = whole([{'vectors': vectors[i]} for i in range(texts)], scores)
    value.backward()
    by_pair = lambda x: x.transpose(0, 1).reshape(-1).tolist()
    return {'name': name, 'sizes': sizes, 'vectors': by_pair(vectors.detach()), 'scores': scores.tolist(), 'loss': value.item(), 'gradient': by_pair(vectors.grad)}


def cached(name, texts, mini_batch, pairs):
    vectors = torch.tensor(rng.normal(size=(texts, pairs, 6)), requires_grad=True)
    value = CachedMultipleNegativesRankingLoss(Given(), mini_batch_size=mini_batch)(
        [{'vectors': x, 'input_ids': torch.zeros(pairs, 1)} for x in vectors], torch.arange(pairs))
    value.backward()
    by_pair = lambda x: x.transpose(0, 1).reshape(-1).tolist()
    return {'name': name, 'miniBatch': mini_batch, 'sizes': [], 'vectors': by_pair(vectors.detach()), 'scores': [0] * pairs, 'loss': value.item(),
            'gradient': by_pair(vectors.grad)}


class Scorer(torch.nn.Module):
    """A cross-encoder of given scores, in the order of the pairs."""
    num_labels = 1
    device = 'cpu'

    def __init__(self, scores):
        super().__init__()
        self.scores, self.at = scores, 0

    def preprocess(self, pairs, **_):
        self.at += len(pairs)
        return {'scores': self.scores[self.at - len(pairs):self.at]}

    def forward(self, tokens):
        return tokens


def lists(*counts):
    scores = torch.tensor(rng.normal(size=sum(counts)) * 3, requires_grad=True)
    grades = [rng.integers(4, size=n).tolist() for n in counts]
    value = ListNetLoss(Scorer(scores))([['q'] * len(counts), [['d'] * n for n in counts]], [torch.tensor(g) for g in grades])
    value.backward()
    return {'grades': grades, 'scores': scores.tolist(), 'loss': value.item(), 'gradient': scores.grad.tolist()}


golden = {
    'pairs': [pairs(40, 40, 40, 4), pairs(40, 40, 15, 4), pairs(60, 12, 50, 3)], 'graded': [graded(n) for n in (2, 5, 12, 30, 30)],
    'losses': [loss('triplets', 3, []), loss('triplets', 3, [4, 2]), loss('ranking', 2, [4, 2]), loss('similarity', 2, [3])],
    'lists': [lists(2, 5, 3), lists(4)],
    'cached': [cached('ranking', 2, 2, 5), cached('ranking', 2, 3, 12), cached('triplets', 3, 2, 7)],
}
Path(__file__).with_name('fixtures').joinpath('ranking.json').write_text(json.dumps(golden) + '\n')
