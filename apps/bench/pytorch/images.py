"""Images, their views by torchvision, and the loader."""

import os

import numpy
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.io import ImageReadMode, read_image
from torchvision.transforms import v2

MEAN, STD = [0.491, 0.482, 0.447], [0.247, 0.243, 0.262]


def contrastive(side):
    jitter = transforms.ColorJitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2)
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(side, scale=(0.08, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([jitter], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def contrastive_v2(side):
    """The same on tensors [3, H, W] of bytes, by torchvision's second generation of transforms."""
    jitter = v2.ColorJitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2)
    return v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=(0.08, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([jitter], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


PLAIN = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


class Photographs(Dataset):
    """JPEG files: K views of each, or the middle of each, resized, as bytes."""

    def __init__(self, files, side, views, tensors):
        self.files, self.views, self.tensors = files, views, tensors
        self.transform = (contrastive_v2 if tensors else contrastive)(side)
        resized = [transforms.Resize(side), transforms.CenterCrop(side)]
        self.plain = transforms.Compose(resized if tensors else resized + [transforms.PILToTensor()])

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        if self.tensors:
            picture = read_image(self.files[index], ImageReadMode.RGB)
        else:
            with Image.open(self.files[index]) as file:
                picture = file.convert("RGB")
        if not self.views:
            return self.plain(picture)
        return torch.stack([self.transform(picture) for _ in range(self.views)])


class Views(Dataset):
    """Dataset of K views of each image, from pixels [N, H, W, 3] in memory."""

    def __init__(self, pixels, labels, transform, views):
        self.pixels, self.labels, self.transform, self.views = pixels, labels, transform, views

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = Image.fromarray(self.pixels[index])
        views = [self.transform(image) for _ in range(self.views)]
        return (torch.stack(views) if self.views > 1 else views[0]), int(self.labels[index])


def loader(data, batch, workers, shuffle, pin):
    return DataLoader(data, batch_size=batch, shuffle=shuffle, num_workers=workers, drop_last=shuffle, pin_memory=pin)


def random_pixels(count, side, seed=0):
    generator = numpy.random.default_rng(seed)
    pixels = generator.integers(0, 256, (count, side, side, 3), dtype=numpy.uint8)
    return pixels, generator.integers(0, 10, count)


def cifar10(folder):
    """Loads CIFAR-10's training images from the official binary files: pixels [50000, 32, 32, 3] and labels."""
    folder = os.path.join(folder, "cifar-10-batches-bin")
    files = [os.path.join(folder, f"data_batch_{number}.bin") for number in range(1, 6)]
    records = numpy.concatenate([numpy.fromfile(file, numpy.uint8).reshape(-1, 3073) for file in files])
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return numpy.ascontiguousarray(pixels), records[:, 0].astype(numpy.int64)
