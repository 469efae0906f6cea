#!/usr/bin/env python3
"""Makes the golden values of this folder again with PyTorch's layers, and compares: make_golden.py [GOLDEN_DIR]

Needs torch, numpy and safetensors (CPU builds do). The input of each file is read from it; the weights are those of the file it
names, or are drawn here from its seed, as the crate draws them. Ends with 1 if a value is off by more than what f32 leaves:
1e-5 of the norm for values, and 1e-3 for gradients.
"""
import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

TOLERANCES = {False: 1e-5, True: 1e-3}  # of values, of gradients

BACKBONE, RELATION, DISCRIMINATORS = 1, 5, 6


class Weights:
    """Initial weights of a seed, purpose and number: numbers of ChaCha with eight rounds, whose key comes from the seed by PCG32."""

    def __init__(self, seed, purpose, number=0):
        key = []
        for _ in range(8):
            seed = (seed * 6364136223846793005 + 11634580027462260723) % 2**64
            mixed = (((seed >> 18) ^ seed) >> 27) % 2**32
            turn = seed >> 59
            key.append((mixed >> turn | mixed << (32 - turn) % 32) % 2**32)
        self.key, self.stream, self.block = key, purpose | number << 8, 0
        self.rest = np.empty(0, np.uint64)

    def words(self, count):
        """The next 64-bit numbers, of which a block has eight."""
        blocks = max(0, -(-(count - len(self.rest)) // 8))
        counters = np.arange(self.block, self.block + blocks, dtype=np.uint64)
        self.block += blocks
        start = [np.full(blocks, word, np.uint32) for word in (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *self.key)]
        start += [counters.astype(np.uint32), (counters >> np.uint64(32)).astype(np.uint32)]
        start += [np.full(blocks, word, np.uint32) for word in (self.stream % 2**32, self.stream >> 32)]
        x = [word.copy() for word in start]

        def turned(word, by):
            return word << np.uint32(by) | word >> np.uint32(32 - by)

        for _ in range(4):
            for diagonal in range(2):
                for column in range(4):
                    a, b, c, d = (4 * row + (column + row * diagonal) % 4 for row in range(4))
                    for first, second, third, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                        x[first] = x[first] + x[second]
                        x[third] = turned(x[third] ^ x[first], by)
        x = np.stack([word + begun for word, begun in zip(x, start)], axis=1).astype(np.uint64)
        fresh = (x[:, 0::2] | x[:, 1::2] << np.uint64(32)).ravel()
        fresh = np.concatenate([self.rest, fresh])
        self.rest = fresh[count:]
        return fresh[:count]

    def unit(self, count):
        """Uniform in [0, 1), with 53 bits."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def uniform(self, shape, bound):
        return tensor(bound * (2 * self.unit(math.prod(shape)) - 1), shape)

    def normal(self, shape, deviation):
        """By Box and Muller, of two uniform numbers each."""
        first, second = self.unit(2 * math.prod(shape)).reshape(-1, 2).T
        return tensor(deviation * np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * np.pi * second), shape)

    def fill(self, layer):
        """Draws a layer's weight, and its bias if it has one, which tells the two ways apart."""
        shape = tuple(layer.weight.shape)
        if layer.bias is None:
            outputs, _, height, width = shape
            layer.weight.data = self.normal(shape, math.sqrt(2 / (height * width * outputs)))
        else:
            bound = 1 / math.sqrt(math.prod(shape[1:]))
            layer.weight.data, layer.bias.data = self.uniform(shape, bound), self.uniform(shape[:1], bound)


def tensor(values, shape):
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def convolution(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class ConvBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv, self.bn = convolution(inputs, outputs, 3), nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Conv4(nn.Module):
    def __init__(self):
        super().__init__()
        channels = (3, 8, 16, 32, 64)
        for number in range(4):
            setattr(self, f"layer{number + 1}", ConvBlock(*channels[number : number + 2]))
        self.first = self.layer1.conv

    def forward(self, x):
        for layer in (self.layer1, self.layer2, self.layer3):
            x = nn.functional.avg_pool2d(layer(x), 2)
        return self.layer4(x).mean((2, 3))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = convolution(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + shortcut).relu()


class Bottleneck(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        width = outputs // 4
        self.conv1, self.bn1 = convolution(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = convolution(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        return (self.bn3(self.conv3(x)) + shortcut).relu()


class ResNet(nn.Module):
    """Of CIFAR with three stages, of ImageNet with four."""

    def __init__(self, blocks, channels, block=BasicBlock):
        super().__init__()
        self.is_large = len(blocks) == 4
        stem = nn.Conv2d(3, channels[0], 7, 2, 3, bias=False) if self.is_large else convolution(3, channels[0], 3)
        self.conv1, self.bn1 = stem, nn.BatchNorm2d(channels[0])
        self.stages, inputs = [], channels[0]
        if block is Bottleneck:
            channels = tuple(4 * width for width in channels)
        for number, (count, outputs) in enumerate(zip(blocks, channels)):
            strides = [1 if number == 0 else 2] + [1] * (count - 1)
            stage = nn.Sequential(*(block(inputs if at == 0 else outputs, outputs, s) for at, s in enumerate(strides)))
            setattr(self, f"layer{number + 1}", stage)
            self.stages.append(f"layer{number + 1}")
            inputs = outputs
        self.fc = nn.Identity() if self.is_large else nn.Linear(channels[-1], 64)

    @property
    def first(self):
        return self.conv1

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        if self.is_large:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        for name in self.stages:
            x = getattr(self, name)(x)
        return self.fc(x.mean((2, 3)))


def network(name, blocks=None):
    """A network by its name; with other numbers of blocks a stage, such as 1,1,1,1, a part of it."""
    if blocks:
        return ResNet([int(count) for count in blocks.split(",")], (64, 128, 256, 512), Bottleneck)
    if name == "conv4":
        return Conv4()
    depth = int(name.removeprefix("resnet"))
    large = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
    if depth == 50:
        return ResNet(large[34], (64, 128, 256, 512), Bottleneck)
    return ResNet(large[depth], (64, 128, 256, 512)) if depth in large else ResNet(((depth - 2) // 6,) * 3, (16, 32, 64))


def backbone(file, text, folder):
    """Features in evaluation and in training, and the gradients of mean(features²) in training."""
    net = network(text["backbone"], text.get("blocks"))
    if "weights" in text:
        state = torch.load(folder / text["weights"], weights_only=True)["backbone"]
        missing, unexpected = net.load_state_dict(state, strict=False)
        assert not unexpected and all(name.startswith("first.") for name in missing), (missing, unexpected)
    else:
        # In the order in which the layers were made.
        weights = Weights(int(text["seed"]), BACKBONE)
        for layer in net.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                weights.fill(layer)
    if text.get("precision") == "f64":
        net = net.double()
    parameters = {id(parameter): parameter.numel() for parameter in net.parameters()}
    assert sum(parameters.values()) == int(text["params"]), sum(parameters.values())
    x = file.get_tensor("input").to(net.first.weight.dtype).requires_grad_()
    with torch.no_grad():
        evaluated = net.eval()(x)
    trained = net.train()(x)
    trained.square().mean().backward()
    return {
        "output_eval": evaluated,
        "output_train": trained,
        "grad_first_conv": net.first.weight.grad,
        "grad_input": x.grad,
    }


def heads(file, text, _):
    """Scores of the discriminators and of the relation head, and the gradients of mean(scores²)."""
    seed, f, c = (int(text[name]) for name in ("seed", "features", "maps"))

    def drawn(weights, *layers):
        for layer in layers:
            weights.fill(layer)
        return layers

    made = {}

    def step(name, scores, **inputs):
        made[name] = scores
        gradients = torch.autograd.grad(scores.square().mean(), list(inputs.values()))
        made.update({f"{name}_grad_{of}": gradient for of, gradient in zip(inputs, gradients)})

    y, maps = (file.get_tensor(name).requires_grad_() for name in ("features", "maps"))
    # The number of each discriminator's sequence: global, local, prior.
    c0, c1, l0, l1, l2 = drawn(
        Weights(seed, DISCRIMINATORS, 0),
        nn.Conv2d(c, 64, 3), nn.Conv2d(64, 32, 3), nn.Linear(32 * 16 * 16 + f, 256), nn.Linear(256, 256), nn.Linear(256, 1),
    )
    pooled = nn.functional.adaptive_avg_pool2d(c1(c0(maps).relu()), 16).flatten(1)
    step("global", l2(l1(l0(torch.cat([y, pooled], 1)).relu()).relu()), features=y, maps=maps)
    c0, c1, c2 = drawn(
        Weights(seed, DISCRIMINATORS, 1), nn.Conv2d(c + f, 256, 1), nn.Conv2d(256, 256, 1), nn.Conv2d(256, 1, 1)
    )
    everywhere = y[:, :, None, None].expand(-1, -1, *maps.shape[2:])
    step("local", c2(c1(c0(torch.cat([maps, everywhere], 1)).relu()).relu()), features=y, maps=maps)
    l0, l1, l2 = drawn(Weights(seed, DISCRIMINATORS, 2), nn.Linear(f, 512), nn.Linear(512, 128), nn.Linear(128, 1))
    step("prior", l2(l1(l0(y).relu()).relu()).sigmoid(), features=y)

    pairs = file.get_tensor("pairs").requires_grad_()
    l0, l1 = drawn(Weights(seed, RELATION), nn.Linear(pairs.shape[1], 256), nn.Linear(256, 1))
    norm = nn.BatchNorm1d(256)
    step("relation_train", l1(nn.functional.leaky_relu(norm(l0(pairs)), 0.01)), pairs=pairs)
    norm.eval()
    made["relation_eval"] = l1(nn.functional.leaky_relu(norm(l0(pairs)), 0.01))
    return made


def main():
    beside = [Path(__file__).parent / folder for folder in ("golden", "golden_deep")]
    folders = [Path(sys.argv[1])] if len(sys.argv) > 1 else beside
    paths = sorted(path for folder in folders for kind in ("backbone", "heads") for path in folder.glob(f"{kind}_*.safetensors"))
    differs = not paths
    for path in paths:
        with safe_open(path, "pt") as file:
            text = file.metadata()
            made = {"backbone": backbone, "heads": heads}[text["kind"]](file, text, path.parent)
            committed = {name: file.get_tensor(name) for name in file.keys()}
        errors = {}
        for name, value in made.items():
            expected = committed[name].double()
            errors[name] = ((value.detach().double() - expected).norm() / expected.norm()).item()
        wrong = any(not error <= TOLERANCES["grad" in name] for name, error in errors.items())
        # Every value of the file is one that is made here, or an input.
        left = set(committed) - set(made) - {"input", "features", "maps", "pairs"}
        wrong |= bool(left)
        differs |= wrong
        print(path.name, *(f"{name} {error:.1e}" for name, error in errors.items()), *left, "DIFFERS" if wrong else "")
    sys.exit(differs)


main()
