"""Trainings of all methods of `qare bench methods`: modules from views [B, K, 3, H, W] and labels [B] to a loss."""

import torch
from torch import nn
from torch.nn import functional as F

import networks
import objectives

CLASSES, CLUSTERS = 10, 100


class Contrastive(nn.Module):
    views = 2

    def __init__(self, method, backbone):
        super().__init__()
        self.encoder = networks.Encoder(backbone)
        self.objective = objectives.objective(method)

    def forward(self, images, labels):
        return self.objective(self.encoder(images.flatten(0, 1)), self.views)


class Classification(nn.Module):
    """`standard` with a linear head, `deepcluster` with a projection head, whose labels are clusters."""

    views = 1

    def __init__(self, method, backbone):
        super().__init__()
        self.backbone = networks.backbone(backbone)
        features = self.backbone.features
        self.clusters = method == "deepcluster"
        self.head = networks.head(features, CLUSTERS) if self.clusters else nn.Linear(features, CLASSES)

    def forward(self, images, labels):
        logits = self.head(self.backbone(images.flatten(0, 1)))
        if not self.clusters:
            return F.cross_entropy(logits, labels)
        weights = 1 - torch.bincount(labels, minlength=CLUSTERS) / len(labels)
        return F.cross_entropy(logits, labels, weight=weights)


class RotationNet(nn.Module):
    views = 1

    def __init__(self, method, backbone):
        super().__init__()
        self.backbone = networks.backbone(backbone)
        self.head = nn.Linear(self.backbone.features, 4)

    def forward(self, images, labels):
        images = images.flatten(0, 1)
        turned = torch.cat([torch.rot90(images, turns, (2, 3)) for turns in range(4)])
        targets = torch.arange(4, device=images.device).repeat_interleave(len(images))
        return F.cross_entropy(self.head(self.backbone(turned)), targets)


class RelationNet(nn.Module):
    views = 4

    def __init__(self, method, backbone):
        super().__init__()
        self.backbone = networks.backbone(backbone)
        self.head = nn.Sequential(
            nn.Linear(2 * self.backbone.features, 256), nn.BatchNorm1d(256), nn.LeakyReLU(), nn.Linear(256, 1)
        )

    def forward(self, images, labels):
        sets = self.backbone(images.transpose(0, 1).flatten(0, 1)).view(self.views, len(images), -1)
        pairs, targets, shift = [], [], 1
        for first in range(self.views):
            for second in range(first + 1, self.views):
                pairs.append(torch.cat([sets[first], sets[second]], 1))
                pairs.append(torch.cat([sets[first], sets[second].roll(shift, 0)], 1))
                targets += [torch.ones(len(images)), torch.zeros(len(images))]
                shift = shift + 1 if shift + 1 < len(images) else 1
        logits = self.head(torch.cat(pairs)).squeeze(1)
        targets = torch.cat(targets).to(logits.device)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return (0.5 * (1 - torch.exp(-cross_entropy)) ** 2 * cross_entropy).mean()  # focal loss


class DeepInfoMax(nn.Module):
    """With the local term and the prior's."""

    views = 1

    def __init__(self, method, backbone):
        super().__init__()
        self.backbone = networks.backbone(backbone)
        features, channels = self.backbone.features, self.backbone.map_channels
        self.local = nn.Sequential(
            nn.Conv2d(channels + features, 256, 1), nn.ReLU(), nn.Conv2d(256, 256, 1), nn.ReLU(), nn.Conv2d(256, 1, 1)
        )
        self.prior = nn.Sequential(
            nn.Linear(features, 512), nn.ReLU(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 1)
        )

    def forward(self, images, labels):
        maps, features = self.backbone.forward_with_maps(images.flatten(0, 1))
        everywhere = features[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        joint = self.local(torch.cat([maps, everywhere], 1))
        marginal = self.local(torch.cat([maps.roll(-1, 0), everywhere], 1))
        prior, made = self.prior(torch.rand_like(features)), self.prior(features)
        return sum([F.softplus(-joint).mean(), F.softplus(marginal).mean()]) + 0.1 * sum(
            [F.softplus(-prior).mean(), F.softplus(made).mean()]
        )


class Metric(nn.Module):
    """A loss of metric.py on an embedding, and the set term over the images of each identity."""

    views = 1
    of_identity = 4

    def __init__(self, method, backbone, images):
        super().__init__()
        from metric import Embedder, objective  # needs pytorch-metric-learning

        self.embedder = Embedder(backbone, 64)
        self.set_term = method.endswith("_qare")
        self.loss, _ = objective(method.removesuffix("_qare"), images // self.of_identity, 64)

    def forward(self, images, labels):
        embeddings = self.embedder(images.flatten(0, 1))
        loss = self.loss(embeddings, labels)
        return loss + objectives.set_term(embeddings, self.of_identity) if self.set_term else loss


SELF_SUPERVISED = {
    **dict.fromkeys(objectives.METHODS, Contrastive),
    "rotationnet": RotationNet,
    "deepinfomax": DeepInfoMax,
    "deepcluster": Classification,
    "relationnet": RelationNet,
    "standard": Classification,
}
METRIC = "triplet contrastive infonce supcon ntlogistic multisimilarity sparseclr_labels proxyanchor normsoftmax arcface".split()
METHODS = [*SELF_SUPERVISED, *(name + suffix for name in METRIC for suffix in ("", "_qare"))]


def pretext(method, backbone, images):
    if method in SELF_SUPERVISED:
        return SELF_SUPERVISED[method](method, backbone)
    return Metric(method, backbone, images)


def batch(method, module, images, side, device):
    """Views of noise and labels; images of one identity follow each other."""
    classes = {"deepcluster": CLUSTERS}.get(method, CLASSES if method in SELF_SUPERVISED else images // Metric.of_identity)
    labels = torch.arange(images, device=device) * classes // images
    return torch.randn(images, module.views, 3, side, side, device=device), labels
