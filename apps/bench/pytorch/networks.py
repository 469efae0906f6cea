"""The networks of the protocol: conv4, the CIFAR ResNets, torchvision's ResNets, and the projection head."""

import torch
import torchvision
from torch import nn
from torch.nn import functional as F


class Conv4(nn.Module):
    features, map_channels = 64, 8

    def __init__(self):
        super().__init__()
        channels = [3, 8, 16, 32, 64]
        layers = []
        for index, (before, after) in enumerate(zip(channels, channels[1:])):
            pool = nn.AvgPool2d(2) if index < 3 else nn.AdaptiveAvgPool2d(1)
            conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True), pool]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x).flatten(1)

    def forward_with_maps(self, x):
        """Features, and the maps before the first pooling."""
        maps = self.layers[:3](x)
        return maps, self.layers[3:](maps).flatten(1)


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after))
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
        same = before == after and stride == 1
        shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.shortcut = nn.Identity() if same else shortcut

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class CifarResNet(nn.Module):
    features, map_channels = 64, 16

    def __init__(self, blocks):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        layers, before = [], 16
        for after, stride in [(16, 1), (32, 2), (64, 2)]:
            for index in range(blocks):
                layers.append(Block(before, after, stride if index == 0 else 1))
                before = after
        self.blocks = nn.Sequential(*layers)
        self.last = nn.Linear(64, 64)

    def forward(self, x):
        return self.last(self.blocks(self.stem(x)).mean((2, 3)))


class ImageNetResNet(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.network = getattr(torchvision.models, name)(weights=None)
        self.features = self.network.fc.in_features
        self.network.fc = nn.Identity()

    def forward(self, x):
        return self.network(x)


BLOCKS = {"resnet8": 1, "resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9, "resnet110": 18}
IMAGENET = ["resnet18", "resnet34", "resnet50"]
BACKBONES = ["conv4", *BLOCKS, *IMAGENET]


def backbone(name):
    if name in IMAGENET:
        return ImageNetResNet(name)
    return Conv4() if name == "conv4" else CifarResNet(BLOCKS[name])


def head(features=64, embedding=64):
    return nn.Sequential(
        nn.Linear(features, 256), nn.BatchNorm1d(256), nn.LeakyReLU(), nn.Linear(256, embedding)
    )


class Encoder(nn.Module):
    """Backbone and head: images [N, 3, H, W] to embeddings [N, D]."""

    def __init__(self, name):
        super().__init__()
        self.backbone = backbone(name)
        self.head = head(self.backbone.features)

    def forward(self, images):
        return self.head(self.backbone(images))


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


if __name__ == "__main__":
    for name in BACKBONES:
        net = backbone(name)
        print(name, parameters(net), tuple(net(torch.zeros(2, 3, 32, 32)).shape))
