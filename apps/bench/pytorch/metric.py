#!/usr/bin/env python3
"""Trains metric losses on Omniglot with pytorch-metric-learning: python metric.py LOSSES --data-dir DIR [--seeds 1,2,3]

The counterpart of `qare sweep configs/omniglot/metric_table.toml`: the same network, batches, views, optimizer and images. DIR holds
images_background_small1, which is trained on, and images_background_small2, whose other alphabets are searched.

Prints a line of JSON for each loss and seed: recall (Recall@1, 2, 4, 8), r_precision and map_at_r of the embeddings of the test images, in percent,
and ms_per_step: the median time of forward pass, loss, backward pass and step of the optimizer, views excluded. Losses: triplet contrastive infonce
supcon ntlogistic multisimilarity sparseclr_labels proxyanchor normsoftmax arcface all, or untrained.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from pytorch_metric_learning import losses, miners
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from torch import nn
from torchvision import transforms

from networks import backbone

PARTS = ["images_background_small1", "images_background_small2"]
MEAN, STD = 0.92, 0.21


class NtLogistic(nn.Module):
    """Not in pytorch-metric-learning: the mean of −log σ(s/t) over positive pairs plus that of −log σ(−s/t) over negative ones."""

    def __init__(self, temperature):
        super().__init__()
        self.temperature = temperature

    def forward(self, z, labels):
        unit = F.normalize(z)
        s = unit @ unit.T / self.temperature
        same = labels[:, None] == labels[None, :]
        positives = same & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
        return -F.logsigmoid(s[positives]).mean() - F.logsigmoid(-s[~same]).mean()


class SparseClr(nn.Module):
    """Not in pytorch-metric-learning: the sparsemax loss of each row, the margin taken off all its positives, whose mean is its target."""

    def __init__(self, margin):
        super().__init__()
        self.margin = margin

    def forward(self, z, labels):
        unit = F.normalize(z)
        s = unit @ unit.T
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        positives = (labels[:, None] == labels[None, :]) & ~itself
        n = (s - self.margin * positives).masked_fill(itself, -float("inf"))
        # The support of sparsemax: the largest k with 1 + k·n_(k) > Σ_{i≤k} n_(i).
        ordered = n.sort(descending=True, dim=1).values[:, :-1]
        k = torch.arange(1, len(z), dtype=z.dtype, device=z.device)
        sums = ordered.cumsum(1)
        count = (1 + k * ordered > sums).sum(1)
        tau = (sums.gather(1, count[:, None] - 1) - 1) / count[:, None]
        support = n > tau
        squares = torch.where(support, n.masked_fill(itself, 0) ** 2 - tau**2, torch.zeros_like(n)).sum(1)
        target = ((s - self.margin) * positives).sum(1) / positives.sum(1)
        return (0.5 * squares - target + 0.5).mean()


def with_miner(loss, miner):
    return lambda z, labels: loss(z, labels, miner(z, labels))


# Loss, and the learning rate of its proxies relative to that of the network. The settings are the defaults of qare.
def objective(name, classes, dim):
    match name:
        case "triplet":
            return losses.TripletMarginLoss(margin=0.05), None
        case "contrastive":
            return losses.ContrastiveLoss(pos_margin=0.0, neg_margin=1.0), None
        case "infonce":
            return losses.NTXentLoss(temperature=0.07), None
        case "supcon":
            return losses.SupConLoss(temperature=0.1), None
        case "ntlogistic":
            return NtLogistic(0.1), None
        case "multisimilarity":
            return losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5), None
        case "sparseclr_labels":
            return SparseClr(1.0), None
        case "proxyanchor":
            return losses.ProxyAnchorLoss(classes, dim, margin=0.1, alpha=32), 100.0
        case "normsoftmax":
            return losses.NormalizedSoftmaxLoss(classes, dim, temperature=0.05), 10.0
        case "arcface":
            return losses.ArcFaceLoss(classes, dim, margin=28.6, scale=64), 10.0


LOSSES = "triplet contrastive infonce supcon ntlogistic multisimilarity sparseclr_labels proxyanchor normsoftmax arcface".split()


class Embedder(nn.Module):
    """Backbone and a linear layer: images [N, 3, H, W] to embeddings [N, D]."""

    def __init__(self, name, dim):
        super().__init__()
        self.backbone = backbone(name)
        for module in self.backbone.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.embedding = nn.Linear(self.backbone.features, dim)

    def forward(self, images):
        return self.embedding(self.backbone(images))


def located(folder, name):
    """The folder of that name in `folder`, or in a folder of the same name in it."""
    path = Path(folder) / name
    return path / name if (path / name).is_dir() else path


def drawings(folder, side, left_out=()):
    """All drawings: images, and for each its character and its drawer. Characters are numbered in the order of their names."""
    images, labels, drawers, names = [], [], [], []
    for alphabet in sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in left_out):
        for character in sorted(path for path in alphabet.iterdir() if path.is_dir()):
            names.append(f"{alphabet.name}/{character.name}")
            for file in sorted(character.glob("*.png")):
                images.append(Image.open(file).convert("RGB").resize((side, side), Image.BILINEAR))
                labels.append(len(names) - 1)
                drawers.append(int(file.stem.rsplit("_", 1)[1]))
    if not images:
        sys.exit(f"error: there are no drawings in {folder}")
    return images, numpy.array(labels), numpy.array(drawers)


def batches(labels, drawers, identities, count, draw):
    """An epoch: batches of `identities` characters with `count` drawings of each by different drawers.

    The drawings of a character are dealt into groups; every group is in one batch, but for those that remain at the end.
    """
    groups = {}
    for label in numpy.unique(labels):
        images = list(numpy.flatnonzero(labels == label))
        draw.shuffle(images)
        images = images[: len(images) // count * count] if len(images) >= count else (images * count)[:count]
        order = list(dict.fromkeys(drawers[image] for image in images))
        images.sort(key=lambda image: order.index(drawers[image]))
        number = len(images) // count
        groups[label] = [images[group::number] for group in range(number)]
        draw.shuffle(groups[label])
    while len(groups) >= identities:
        # Characters with the most groups left first, ties in random order, so that an epoch is as long as it can be.
        order = list(groups)
        draw.shuffle(order)
        order.sort(key=lambda label: -len(groups[label]))
        chosen = order[:identities]
        draw.shuffle(chosen)
        yield [image for label in chosen for image in groups[label].pop()]
        groups = {label: left for label, left in groups.items() if left}


def embed(network, images, views):
    network.eval()
    with torch.inference_mode():
        parts = [torch.stack([views(image) for image in images[at : at + 500]]) for at in range(0, len(images), 500)]
        return torch.cat([network(part) for part in parts])


def recall_at(embeddings, labels, ks):
    """Percent of the images that have another of their class among the k nearest others."""
    unit = F.normalize(embeddings.double())
    similarities = (unit @ unit.T).fill_diagonal_(-2)
    order = similarities.argsort(dim=1, descending=True, stable=True)[:, : max(ks)]
    hits = labels[order] == labels[:, None]
    return {str(k): 100 * hits[:, :k].any(1).double().mean().item() for k in ks}


def train(name, seed, chosen, train_set, test_set):
    torch.manual_seed(seed)
    draw = random.Random(seed)
    images, labels, drawers = train_set
    network = Embedder(chosen.backbone, chosen.dim)
    plain = transforms.Compose([transforms.ToTensor(), transforms.Normalize([MEAN] * 3, [STD] * 3)])
    crop = transforms.RandomResizedCrop(chosen.image_size, scale=(chosen.least_area, 1.0))
    views = transforms.Compose([crop, plain])
    times, steps, loss_value, started = [], 0, None, time.perf_counter()
    if name != "untrained":
        loss, proxy_rate = objective(name, labels.max() + 1, chosen.dim)
        groups = [{"params": network.parameters()}]
        if proxy_rate is not None:
            groups.append({"params": loss.parameters(), "lr": chosen.learning_rate * proxy_rate})
        optimizer = torch.optim.Adam(groups, lr=chosen.learning_rate)
        criterion = loss
        if name == "triplet" and chosen.triplets != "all":
            criterion = with_miner(loss, miners.TripletMarginMiner(margin=0.05, type_of_triplets=chosen.triplets))
        of_batch = chosen.batch_size // chosen.images_per_identity
        network.train()
        for _ in range(chosen.epochs):
            for batch in batches(labels, drawers, of_batch, chosen.images_per_identity, draw):
                pixels = torch.stack([views(images[image]) for image in batch])
                of_pixels = torch.from_numpy(labels[batch])
                start = time.perf_counter()
                optimizer.zero_grad()
                value = criterion(network(pixels), of_pixels)
                value.backward()
                optimizer.step()
                times.append(time.perf_counter() - start)
                steps, loss_value = steps + 1, value.item()
                if steps == chosen.steps:
                    break
            if steps == chosen.steps:
                break
    seconds = time.perf_counter() - started
    images, labels, _ = test_set
    embeddings, labels = embed(network, images, plain), torch.from_numpy(labels)
    figures = AccuracyCalculator(
        include=("r_precision", "mean_average_precision_at_r"), k="max_bin_count", device=torch.device("cpu"), knn_func=CustomKNN(CosineSimilarity())
    )
    found = figures.get_accuracy(embeddings, labels)
    return {
        "method": name,
        "seed": seed,
        "recall": recall_at(embeddings, labels, [1, 2, 4, 8]),
        "r_precision": 100 * float(found["r_precision"]),
        "map_at_r": 100 * float(found["mean_average_precision_at_r"]),
        "ms_per_step": 1000 * statistics.median(times) if times else None,
        "steps": steps,
        "loss": loss_value,
        "seconds": seconds,
        "test_images": len(images),
    }


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("losses", nargs="+", choices=[*LOSSES, "untrained", "all"], metavar="LOSSES")
    parser.add_argument("--data-dir", required=True, metavar="DIR", help="folder that holds images_background_small1 and …small2")
    parser.add_argument("--seeds", default="1", help="seeds, such as 1,2,3")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--steps", type=int, default=0, help="stop after this number of steps (default: train all epochs)")
    parser.add_argument("--batch-size", type=int, default=128, help="images in a batch")
    parser.add_argument("--images-per-identity", type=int, default=4, help="images of each character in a batch")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of Adam; proxies have 10 times as much, proxyanchor's 100 times")
    parser.add_argument("--triplets", default="all", choices=["all", "hard", "semihard"])
    parser.add_argument("--least-area", type=float, default=0.6, help="smallest share of an image's area that a view shows")
    parser.add_argument("--backbone", default="conv4")
    parser.add_argument("--dim", type=int, default=64, help="dimensions of an embedding")
    parser.add_argument("--image-size", type=int, default=28)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def main():
    chosen = options()
    torch.set_num_threads(chosen.threads)
    train_part, test_part = (located(chosen.data_dir, part) for part in PARTS)
    for part in (train_part, test_part):
        if not part.is_dir():
            sys.exit(f"error: {part} is missing: --data-dir names the folder of {' and '.join(PARTS)}")
    known = {path.name for path in train_part.iterdir()}
    train_set = drawings(train_part, chosen.image_size)
    test_set = drawings(test_part, chosen.image_size, known)
    for name in LOSSES if "all" in chosen.losses else chosen.losses:
        for seed in chosen.seeds.split(","):
            print(json.dumps(train(name, int(seed), chosen, train_set, test_set)), flush=True)


if __name__ == "__main__":
    main()
