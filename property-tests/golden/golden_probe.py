"""fixtures/probe.json: linear probes by scikit-learn (PyPI's scikit-learn 1.7 alone). Rows are centered, and their mean squared norm is 1."""
import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression, Ridge

rng = np.random.default_rng(7)


def rows(n, d):
    x = rng.normal(size=(n, d)) * rng.uniform(.2, 2, size=d)
    x -= x.mean(0)
    return x / np.sqrt((x ** 2).sum(1).mean())


def case(kind, n, d, k, C, weighted=False):
    x = rows(n, d)
    scores = 5 * x @ rng.normal(size=(d, k)) + .5 * rng.normal(size=(n, k))
    weights = rng.uniform(.3, 3, size=n) if weighted else None
    options = dict(C=C, tol=1e-12, max_iter=100_000)
    if kind == 'single':
        labels = scores.argmax(1)
        fitted = LogisticRegression(**options).fit(x, labels, weights)
        W, b = fitted.coef_, fitted.intercept_
        if k == 2:  # one logit, whose penalty is of one row: two rows of half of it have twice the strength's
            fitted = LogisticRegression(**{**options, 'C': 2 * C}).fit(x, labels, weights)
            W, b = np.concatenate([-fitted.coef_, fitted.coef_]) / 2, np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2
    elif kind == 'soft':  # rows repeated for each class, weighed by its probability
        labels = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        if weighted:  # of the classes
            labels, weights = labels * weights[:k], None
        fitted = LogisticRegression(**options).fit(x.repeat(k, 0), np.tile(np.arange(k), n), labels.ravel())
        W, b = fitted.coef_, fitted.intercept_
    elif kind == 'multi':
        held = scores > 0
        each = [LogisticRegression(**options).fit(x, held[:, c], weights) for c in range(k)]
        W, b = np.concatenate([one.coef_ for one in each]), np.concatenate([one.intercept_ for one in each])
        labels = [np.flatnonzero(row).tolist() for row in held]
    else:
        labels = scores[:, 0]
        fitted = Ridge(alpha=1 / C, tol=1e-12).fit(x, labels, weights)
        W, b = fitted.coef_[None], np.array([fitted.intercept_])
    return {'kind': kind, 'classes': k, 'strength': C, 'rows': x.tolist(), 'labels': labels if isinstance(labels, list) else labels.tolist(),
            'weights': None if weights is None else weights.tolist(), 'weight': W.ravel().tolist(), 'bias': b.tolist()}


cases = [case('single', 24, 3, 3, 1), case('single', 30, 4, 2, 100), case('single', 30, 4, 4, 10, True), case('multi', 40, 3, 3, 10),
         case('score', 20, 4, 1, 1), case('score', 20, 4, 1, 100, True),
         case('soft', 30, 4, 3, 10), case('soft', 30, 4, 3, 10, True)]
out = Path(__file__).parent / 'fixtures' / 'probe.json'
out.write_text(json.dumps({'versions': {'scikit-learn': sklearn.__version__, 'numpy': np.__version__}, 'cases': cases}) + '\n')
