#!/usr/bin/env python3
"""Values and gradients of the labelled losses, by pytorch-metric-learning: make_metric_golden.py [--write]

Needs torch, numpy, safetensors and pytorch-metric-learning 2.9 (CPU builds do). Batches are drawn from a fixed seed and kept in f32; every
loss is evaluated on them in f64. `--write` writes the files of golden_metric/; without it, the committed values are computed again from the
committed inputs, and the script ends with 1 if one differs.

A file holds `embeddings` [N, D] and `labels` [N], of some batches `references` [M, D] and `reference_labels` [M], and the `proxies` [C, D] of
the losses that learn them. Of each loss it holds NAME.value, NAME.embeddings, and NAME.references or NAME.proxies: the value and the
gradients. NT-Logistic is not in pytorch-metric-learning: it is written out here, from table 2 of SimCLR's paper. So is the labelled SparseCLR.
"""
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses, miners
from safetensors import safe_open
from safetensors.torch import save_file

FOLDER = Path(__file__).parent / "golden_metric"
TOLERANCE = 1e-9


def masks(labels, reference_labels):
    """Which pairs are of one identity, and which of two; a row is no pair with itself."""
    of = labels if reference_labels is None else reference_labels
    same = labels[:, None] == of[None, :]
    positives = same & ~torch.eye(len(labels), dtype=bool) if reference_labels is None else same
    return positives, ~same


def similarities(z, references):
    unit = F.normalize(z)
    return unit @ (unit if references is None else F.normalize(references)).T


def nt_logistic(temperature):
    def loss(z, labels, references=None, reference_labels=None):
        s = similarities(z, references) / temperature
        value = 0 * z.sum()
        for mask, sign in zip(masks(labels, reference_labels), (1, -1)):
            if mask.any():
                value = value - F.logsigmoid(sign * s[mask]).mean()
        return value

    return loss


def sparse_clr(margin):
    def loss(z, labels, references=None, reference_labels=None):
        of = z if references is None else references
        # Unlike the others, with a floor under products of lengths.
        s = z @ of.T / (z.norm(dim=1)[:, None] * of.norm(dim=1)[None, :]).clamp_min(1e-8)
        positives, negatives = masks(labels, reference_labels)
        values = []
        for i in range(len(z)):
            if not positives[i].any():
                continue
            n = (s[i] - margin * positives[i].to(s.dtype))[positives[i] | negatives[i]]
            order = n.detach().sort(descending=True)
            counts = torch.arange(1, len(n) + 1, dtype=n.dtype)
            kept = n[order.indices[: int((1 + counts * order.values > order.values.cumsum(0)).sum())]]
            tau = (kept.sum() - 1) / len(kept)
            values.append(0.5 * (kept**2 - tau**2).sum() - (s[i] - margin)[positives[i]].mean() + 0.5)
        return torch.stack(values).mean() if values else 0 * z.sum()

    return loss


def triplet(margin, kind):
    loss = losses.TripletMarginLoss(margin=margin)
    if kind == "all":
        return lambda z, y, r=None, ry=None: loss(z, y, ref_emb=r, ref_labels=ry)
    miner = miners.TripletMarginMiner(margin=margin, type_of_triplets=kind)

    def mined(z, y, r=None, ry=None):
        return loss(z, y, miner(z, y, r, ry) if r is not None else miner(z, y), ref_emb=r, ref_labels=ry)

    return mined


def pairs(loss):
    return lambda z, y, r=None, ry=None: loss(z, y, ref_emb=r, ref_labels=ry)


OF_PAIRS = {
    "triplet_all": triplet(0.05, "all"),
    "triplet_wide": triplet(0.5, "all"),
    "triplet_hard": triplet(0.2, "hard"),
    "triplet_semihard": triplet(0.2, "semihard"),
    "contrastive": pairs(losses.ContrastiveLoss()),
    "contrastive_margins": pairs(losses.ContrastiveLoss(pos_margin=0.3, neg_margin=1.2)),
    "info_nce": pairs(losses.NTXentLoss()),
    "info_nce_warm": pairs(losses.NTXentLoss(temperature=0.5)),
    "sup_con": pairs(losses.SupConLoss()),
    "nt_logistic": nt_logistic(0.1),
    "multi_similarity": pairs(losses.MultiSimilarityLoss()),
    "multi_similarity_other": pairs(losses.MultiSimilarityLoss(alpha=3, beta=20, base=0.2)),
    "sparse_clr": sparse_clr(1.0),
    "sparse_clr_narrow": sparse_clr(0.3),
}
OF_PROXIES = {
    "proxy_anchor": lambda c, d: losses.ProxyAnchorLoss(c, d),
    "proxy_anchor_soft": lambda c, d: losses.ProxyAnchorLoss(c, d, margin=0.2, alpha=4),
    "normalized_softmax": lambda c, d: losses.NormalizedSoftmaxLoss(c, d),
    "arc_face": lambda c, d: losses.ArcFaceLoss(c, d),
    "arc_face_wide": lambda c, d: losses.ArcFaceLoss(c, d, margin=80, scale=8),
}


def evaluate(batch):
    z, labels = batch["embeddings"].double(), batch["labels"]
    references, reference_labels = batch.get("references"), batch.get("reference_labels")
    found = {}

    def keep(name, value, **leaves):
        gradients = torch.autograd.grad(value, list(leaves.values()))
        assert torch.isfinite(value) and all(torch.isfinite(g).all() for g in gradients), name
        found[f"{name}.value"] = value.detach().reshape(1)
        for leaf, gradient in zip(leaves, gradients):
            found[f"{name}.{leaf}"] = gradient

    for name, loss in OF_PAIRS.items():
        leaves = {"embeddings": z.clone().requires_grad_()}
        arguments = [leaves["embeddings"], labels]
        if references is not None:
            leaves["references"] = references.double().requires_grad_()
            arguments += [leaves["references"], reference_labels]
        # A loss without a pair may not depend on its input.
        keep(name, loss(*arguments) + sum(0 * leaf.sum() for leaf in leaves.values()), **leaves)
    if references is None:
        proxies = batch["proxies"]
        for name, make in OF_PROXIES.items():
            loss = make(*proxies.shape).double()
            z = z.clone().requires_grad_()
            weight = loss.proxies if hasattr(loss, "proxies") else loss.W
            transposed = weight.shape != proxies.shape or not hasattr(loss, "proxies")
            weight.data = (proxies.T if transposed else proxies).double().contiguous().clone()
            value = loss(z, labels)
            of_z, of_weight = torch.autograd.grad(value, [z, weight])
            assert torch.isfinite(of_z).all() and torch.isfinite(of_weight).all(), name
            found[f"{name}.value"] = value.detach().reshape(1)
            found[f"{name}.embeddings"] = of_z
            found[f"{name}.proxies"] = (of_weight.T if transposed else of_weight).contiguous()
    return found


def batches():
    draw = torch.Generator().manual_seed(7)

    def normal(*shape):
        return torch.randn(*shape, generator=draw)

    def batch(embeddings, labels, identities=None, **rest):
        labels = torch.tensor(labels)
        identities = identities or int(labels.max()) + 1
        proxies = {} if rest else {"proxies": normal(identities, embeddings.shape[1])}
        return {"embeddings": embeddings, "labels": labels, **proxies, **rest}

    def clusters(labels, dim, spread):
        centres = normal(int(max(labels)) + 1, dim)
        return torch.stack([centres[y] for y in labels]) + spread * normal(len(labels), dim)

    balanced = [0, 1, 2, 3] * 3
    uneven = [0] * 8 + [1, 2, 2, 3, 4, 4, 4, 5]
    yield "balanced", batch(normal(12, 6), balanced)
    yield "uneven", batch(normal(16, 8), uneven)
    yield "clustered", batch(clusters(uneven, 16, 0.3), uneven)
    yield "collapsed", batch(normal(1, 5) + 1e-2 * normal(8, 5), [0, 0, 1, 1, 2, 2, 2, 3])
    yield "one_identity", batch(normal(5, 4), [2] * 5, 4)
    yield "no_positives", batch(normal(6, 4), [3, 1, 4, 0, 5, 2])
    yield "two_of_one", batch(normal(2, 4), [0, 0], 2)
    yield "two_of_two", batch(normal(2, 4), [0, 1])
    yield "one_row", batch(normal(1, 4), [1], 3)
    # Powers of two: all rows of a direction are the same to the last bit once they are normalised.
    rows = normal(4, 6)
    lengths = torch.tensor([1.0, 2.0**20, 2.0**-10, 4.0, 1.0, 0.5, 8.0, 2.0**-20])
    yield "duplicates", batch(lengths[:, None] * rows[[0, 0, 1, 1, 2, 2, 3, 3]], [0, 0, 1, 1, 2, 3, 2, 3])
    yield "lengths", batch(torch.logspace(-6, 6, 9)[:, None] * normal(9, 5), [0, 1, 2, 0, 1, 2, 0, 1, 2])
    with_references = {"references": normal(10, 6), "reference_labels": torch.tensor([0, 1, 1, 2, 2, 2, 5, 5, 6, 0])}
    yield "references", batch(normal(7, 6), [0, 1, 2, 3, 0, 1, 2], **with_references)
    strangers = {"references": normal(4, 5), "reference_labels": torch.tensor([7, 7, 8, 9])}
    yield "references_of_others", batch(normal(3, 5), [0, 0, 1], **strangers)
    same = {"references": normal(4, 5), "reference_labels": torch.tensor([1, 1, 1, 1])}
    yield "references_of_one", batch(normal(3, 5), [1, 1, 1], **same)
    pair = {"references": normal(6, 5), "reference_labels": torch.arange(6)}
    yield "pair", batch(normal(6, 5), list(range(6)), **pair)


INPUTS = {"embeddings", "labels", "references", "reference_labels", "proxies"}


def main():
    if sys.argv[1:] == ["--write"]:
        FOLDER.mkdir(exist_ok=True)
        for name, batch in batches():
            text = {"kind": "metric", "source": "pytorch-metric-learning 2.9, in f64"}
            tensors = {key: value.contiguous() for key, value in {**batch, **evaluate(batch)}.items()}
            save_file(tensors, FOLDER / f"{name}.safetensors", text)
        return
    paths = sorted(FOLDER.glob("*.safetensors"))
    differs = not paths
    for path in paths:
        with safe_open(path, "pt") as file:
            committed = {name: file.get_tensor(name) for name in file.keys()}
        found = evaluate({name: committed[name] for name in INPUTS & committed.keys()})
        differs |= found.keys() | (INPUTS & committed.keys()) != committed.keys()
        worst = max(
            ((found[name] - committed[name]).norm() / max(committed[name].norm().item(), 1e-6)).item() for name in found
        )
        differs |= not worst <= TOLERANCE
        print(path.name, f"{worst:.1e}", "" if worst <= TOLERANCE else "DIFFERS")
    sys.exit(differs)


main()
