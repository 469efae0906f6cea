#!/usr/bin/env python3
"""Figures of retrieval, by pytorch-metric-learning: make_golden.py [--write]

Needs torch, numpy, scikit-learn and pytorch-metric-learning 2.9 (CPU builds do). Cases are drawn from the first
seed with which rounding to f32 changes no order, and kept in f32; neighbours are found with the cosine in f64.

`--write` writes golden.json; without it, the committed figures are computed again from the committed embeddings, and the script ends with 1 if
one differs.

A case holds `embeddings` [N, dim], `labels` [N] and `clusters` [N], and of some cases `references` [M, dim] and `reference_labels` [M].
"""
import json
import sys
from pathlib import Path

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

FILE = Path(__file__).parent / "golden.json"
TOLERANCE = 1e-12
FIGURES = ("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_average_precision", "NMI")


def rows(case, name):
    return torch.tensor(case[name], dtype=torch.float32).double().reshape(-1, case["dim"])


def in_f64(query, k, reference, ref_includes_query):
    return CustomKNN(CosineSimilarity())(query.double(), k, reference.double(), ref_includes_query)


def evaluate(case):
    clusters = torch.tensor(case["clusters"])
    calculator = AccuracyCalculator(
        include=FIGURES, knn_func=in_f64, kmeans_func=lambda query, count: clusters, device=torch.device("cpu")
    )
    embeddings, labels = rows(case, "embeddings"), torch.tensor(case["labels"])
    if "references" in case:
        return calculator.get_accuracy(embeddings, labels, rows(case, "references"), torch.tensor(case["reference_labels"]))
    return calculator.get_accuracy(embeddings, labels)


def apart(case):
    """Whether rounding to f32 cannot change the order of references of different labels."""
    unit = torch.nn.functional.normalize(rows(case, "embeddings"))
    others = torch.nn.functional.normalize(rows(case, "references")) if "references" in case else unit
    labels = torch.tensor(case.get("reference_labels", case["labels"]))
    values, order = (unit @ others.T).sort(dim=1)
    labels = labels[order]
    return (values.diff(dim=1)[labels[:, 1:] != labels[:, :-1]] > 2e-6).all()


def cases(seed):
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=draw)

    def clustered(labels, dim, spread):
        centres = normal(max(labels) + 1, dim)
        return torch.stack([centres[label] for label in labels]) + spread * normal(len(labels), dim)

    def case(embeddings, labels, clusters=None, **rest):
        clusters = clusters or torch.randint(4, (len(labels),), generator=draw).tolist()
        references = rest.pop("references", None)
        if references is not None:
            rest["references"] = references.flatten().tolist()
        return {"dim": embeddings.shape[1], "embeddings": embeddings.flatten().tolist(), "labels": labels, "clusters": clusters, **rest}

    balanced, uneven = [0, 1, 2, 3] * 8, [0] * 12 + [1, 2, 2, 3, 3, 3, 4, 5, 5, 5, 5, 5, 6, 6, 7]
    yield "balanced", case(clustered(balanced, 6, 0.8), balanced)
    # Labels 1, 4 and 7 have one image each.
    yield "uneven", case(clustered(uneven, 8, 1.0), uneven, [label // 2 for label in uneven])
    yield "separate", case(clustered(uneven, 16, 0.1), uneven, uneven)
    yield "random", case(normal(40, 5), [0, 1, 2, 3, 4] * 8, [0] * 40)
    yield "one_label", case(normal(7, 4), [3] * 7, [0, 0, 0, 1, 1, 2, 2])
    yield "one_label_one_cluster", case(normal(5, 4), [3] * 5, [2] * 5)
    yield "lengths", case(torch.logspace(-6, 6, 24)[:, None] * clustered([0, 1, 2] * 8, 5, 0.7), [0, 1, 2] * 8)
    # More than 32 relevant references for a query, which are ranked in another way.
    many = [0] * 45 + [1] * 40 + [2] * 3
    yield "many_of_one", case(clustered(many, 12, 2.0), many)
    # Labels 6 and 8 are only among the references, 5 and 7 only among the queries.
    labels, reference_labels = [0, 1, 2, 3, 5, 7, 0, 1, 2, 3], [0, 0, 0, 1, 2, 2, 3, 3, 3, 3, 6, 8]
    together = clustered(labels + reference_labels, 7, 0.9)
    yield "references", case(together[:10], labels, references=together[10:], reference_labels=reference_labels)


def main():
    if sys.argv[1:] == ["--write"]:
        drawn = next(drawn for drawn in (dict(cases(seed)) for seed in range(1000)) if all(map(apart, drawn.values())))
        made = {name: {**case, "expected": evaluate(case)} for name, case in drawn.items()}
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(case)}" for name, case in made.items())
        FILE.write_text(f"{{\n{lines}\n}}\n")
        return
    differs = False
    for name, case in json.loads(FILE.read_text()).items():
        found = evaluate(case)
        worst = max(abs(found[figure] - case["expected"][figure]) for figure in FIGURES)
        right = worst <= TOLERANCE and apart(case)
        differs |= not right
        print(name, f"{worst:.1e}", "" if right else "DIFFERS")
    sys.exit(differs)


main()
