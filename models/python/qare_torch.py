"""Loads backbones that `qare export` writes, in PyTorch, and prepares images as qare does.

    import torch
    from qare_torch import load
    network, preprocess = load("backbone.safetensors")
    with torch.inference_mode():
        features = network(preprocess("photo.jpg")[None])  # [1, 64]

The features equal those of `qare embed`; `check_export.py` beside this file compares them. This module needs torch,
safetensors, numpy and Pillow, and torchvision for `resnet18`, `resnet34` and `resnet50`.
"""

import json
import os

import numpy as np
import torch
from PIL import ExifTags, Image
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F


class ConvBlock(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Conv4(nn.Module):
    """Four convolutions. Maps images [N, 3, H, W] with sides of at least 8 pixels to features [N, 64]."""

    feature_dim = 64

    def __init__(self):
        super().__init__()
        self.layer1 = ConvBlock(3, 8)
        self.layer2 = ConvBlock(8, 16)
        self.layer3 = ConvBlock(16, 32)
        self.layer4 = ConvBlock(32, 64)

    def forward(self, x):
        for layer in (self.layer1, self.layer2, self.layer3):
            x = F.avg_pool2d(layer(x), 2)
        return self.layer4(x).mean((2, 3))


class BasicBlock(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.downsample = None
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + shortcut)


class CifarResNet(nn.Module):
    """A ResNet for small images with `blocks` blocks per stage. Maps images [N, 3, H, W] to features [N, 64]."""

    feature_dim = 64

    def __init__(self, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stage = lambda c_in, c_out, stride: nn.Sequential(
            BasicBlock(c_in, c_out, stride), *(BasicBlock(c_out, c_out, 1) for _ in range(blocks - 1))
        )
        self.layer1 = stage(16, 16, 1)
        self.layer2 = stage(16, 32, 2)
        self.layer3 = stage(32, 64, 2)
        self.fc = nn.Linear(64, self.feature_dim)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def _torchvision_backbone(name):
    import torchvision

    network = getattr(torchvision.models, name)(weights=None)
    network.feature_dim = network.fc.in_features
    network.fc = nn.Identity()
    return network


# Blocks per stage of the ResNets for small images.
CIFAR_BLOCKS = {"resnet8": 1, "resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9, "resnet110": 18}
ARCHITECTURES = ["conv4", *CIFAR_BLOCKS, "resnet18", "resnet34", "resnet50"]


def backbone(architecture):
    """Returns an untrained network by qare's name. Its attribute `feature_dim` is the number of features."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}; expected one of {', '.join(ARCHITECTURES)}")
    if architecture == "conv4":
        return Conv4()
    if architecture in CIFAR_BLOCKS:
        return CifarResNet(CIFAR_BLOCKS[architecture])
    return _torchvision_backbone(architecture)


class Preprocess:
    """Turns an image (a path or a PIL image) into a tensor [3, size, size], as qare does before it embeds the image.

    The method `pixels` returns the 8-bit pixels [size, size, 3] before normalisation.
    """

    # A longer image is first cropped to this aspect ratio, at the centre.
    MAX_ASPECT = 16

    def __init__(self, size, mean, std):
        self.size = int(size)
        self.mean, self.std = (np.asarray(values, np.float32).reshape(3) for values in (mean, std))

    def __repr__(self):
        return f"Preprocess(size={self.size}, mean={self.mean.tolist()}, std={self.std.tolist()})"

    def __call__(self, image):
        values = self.pixels(image).astype(np.float32) / np.float32(255)
        return torch.from_numpy(((values - self.mean) / self.std).transpose(2, 0, 1).copy())

    def pixels(self, image):
        if isinstance(image, (str, os.PathLike)):
            with Image.open(image) as opened:
                return self.pixels(opened)
        return np.array(self._square(_rgb(_upright(image))))

    def _square(self, image):
        size = self.size
        if image.size == (size, size):
            return image
        longest = self.MAX_ASPECT * min(image.size)
        image = _middle(image, [min(length, longest) for length in image.size])
        width, height = image.size
        resized = (size, size * height // width) if width <= height else (size * width // height, size)
        # The horizontal pass comes first. A single call may start with the vertical one, which rounds differently.
        for length in ((resized[0], height), resized):
            image = image.resize(length, Image.Resampling.BILINEAR)
        return _middle(image, (size, size))


def _middle(image, size):
    left, top = (round((length - part) / 2) for length, part in zip(image.size, size))
    return image.crop((left, top, left + size[0], top + size[1]))


# By EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image):
    image.load()
    exif = image.info.get("exif")
    if exif is None:
        return image
    # `ImageOps.exif_transpose` would also read other metadata.
    found = Image.Exif()
    try:
        found.load(exif)
        turn = _TURNS.get(found.get(ExifTags.Base.Orientation))
    except (SyntaxError, ValueError, KeyError, OSError):
        turn = None
    return image if turn is None else image.transpose(turn)


def _rgb(image):
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow's conversion clips 16-bit values of gray images at 255. Of those of colours it takes the high byte.
        gray = np.array(image).astype(np.int64) >> 8
        image = Image.fromarray(gray.clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def metadata(path):
    """Returns the metadata of an export as a dictionary. Unknown values are missing, and `unknown` lists their keys.

    Keys: `architecture`, `feature_dim`, `input_size`, `resize` (words) and `resize_rule` (a dictionary), `mean`, `std`, `dataset`,
    `classes` (names in the order of their labels), `version` and `commit` of the exporting program, `recipe` (TOML), `epoch`,
    `foreign` (whether another program trained the weights).
    """
    with safe_open(path, framework="pt") as file:
        texts = file.metadata() or {}
    if "architecture" not in texts:
        raise ValueError(f"{path}: its metadata names no architecture; expected a file that `qare export` wrote")
    return {key: json.loads(text) if key in _STRUCTURED else text for key, text in texts.items()}


_STRUCTURED = {"feature_dim", "input_size", "resize_rule", "mean", "std", "classes", "epoch", "foreign", "unknown"}


def load(path, size=None, mean=None, std=None):
    """Loads an exported file. Returns the frozen network in evaluation mode, and the preprocessing of its images.

    `size`, `mean` and `std` override the values in the file, and are required if the file lacks them.
    """
    stored = metadata(path)
    wanted = {"size": (size, "input_size"), "mean": (mean, "mean"), "std": (std, "std")}
    settings = {name: stored.get(key) if given is None else given for name, (given, key) in wanted.items()}
    unknown = [name for name, value in settings.items() if value is None]
    if unknown:
        given = ", ".join(f"{name}=..." for name in unknown)
        raise ValueError(f"{path} does not say how its images are prepared: load(path, {given})")
    network = backbone(stored["architecture"])
    with safe_open(path, framework="pt") as file:
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    return network.eval().requires_grad_(False), Preprocess(**settings)
