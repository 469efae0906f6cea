"""Compares the features of `qare embed` and of the Python module on the same images, for several backbones. Fails if they differ.

    cargo build --release
    python models/python/check_export.py [--program target/release/qare] [--keep DIR]

It draws images of many sizes and kinds, trains small runs, exports them, and embeds with both. It needs torch, torchvision,
safetensors, numpy and Pillow, takes about a minute, and prints the worst difference of each run, relative to the features' norm.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np
import torch
import torchvision
from PIL import Image

from program import embed, qare
from qare_torch import load

# Largest relative difference of features. Sums in f32 run in another order.
BOUND = 1e-5


def picture(width, height, generator):
    """An image with the detail of a photograph: noise at several scales."""
    values = np.full((height, width, 3), 120.0)
    for scale in (2, 8, 32, 128):
        shape = (max(2, height // (256 // scale)), max(2, width // (256 // scale)), 3)
        noise = generator.normal(0, 60 / scale**0.3, shape).astype(np.float32)
        channels = [Image.fromarray(noise[:, :, channel]).resize((width, height), Image.Resampling.BICUBIC) for channel in range(3)]
        values += np.stack([np.asarray(channel) for channel in channels], axis=-1)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def draw(folder):
    """Images of every kind that people have, as two classes of a training and a test split."""
    generator = np.random.default_rng(1)
    places = [folder / split / name for split in ("train", "test") for name in ("one", "two")]
    for place in places:
        place.mkdir(parents=True)
    count = 0

    def save(image, name, **options):
        nonlocal count
        image.save(places[count % len(places)] / name, **options)
        count += 1

    for width, height in [(640, 480), (375, 500), (32, 32), (33, 47), (20, 24), (501, 64), (40, 1200), (900, 21)]:
        image, name = picture(width, height, generator), f"{width}x{height}"
        save(image, f"{name}.png")
        save(image, f"{name}_420.jpg", quality=80)
        save(image, f"{name}_444.jpg", quality=95, subsampling=0)
        save(image, f"{name}_422_progressive.JPEG", quality=60, subsampling=1, progressive=True)
        save(image.convert("L"), f"{name}_gray.jpg")
        save(image.convert("L"), f"{name}_gray.png")
        save(image.convert("P"), f"{name}_palette.png")
        save(image.convert("1"), f"{name}_two_colours.png")
        save(image.convert("CMYK"), f"{name}_cmyk.jpg")
        save(Image.merge("RGBA", (*image.split(), image.convert("L"))), f"{name}_transparent.png")
        save(Image.merge("LA", (image.convert("L"), image.convert("L"))), f"{name}_gray_transparent.png")
        save(image.convert("P"), f"{name}_palette_transparent.png", transparency=3)
        save(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256 + 99), f"{name}_16_bit_gray.png")
        save(image, f"{name}.bmp")
        save(image, f"{name}.webp", quality=80)
        for orientation in range(2, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            save(image, f"{name}_turned_{orientation}.{('jpg', 'png', 'webp')[orientation % 3]}", exif=exif)
    return count


def difference(expected, images, network, preprocess):
    """Returns the largest relative difference and the name of its image."""
    worst = (0.0, "")
    with torch.inference_mode():
        for name, features in expected.items():
            found = network(preprocess(images / name)[None])[0].numpy()
            worst = max(worst, (float(np.linalg.norm(found - features) / np.linalg.norm(features)), name))
    return worst


def write_torchvision_weights(file):
    """Writes the weights of a resnet18 of torchvision, with running statistics unlike those of an untrained network."""
    torch.manual_seed(1)
    network = torchvision.models.resnet18(weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    torch.save({name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="target/release/qare", help="the built program")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for all files, kept at the end (default: a temporary folder)")
    arguments = parser.parse_args()
    work = arguments.keep or pathlib.Path(tempfile.mkdtemp())
    program, images = pathlib.Path(arguments.program).resolve(), work / "images"
    count = draw(images)

    runs = [("conv4", "shapes", 32), ("resnet8", "shapes", 32), ("resnet18", "shapes", 32), ("conv4", "folder", 48), ("resnet18", "folder", 96)]
    compared = []
    for backbone, dataset, size in runs:
        flags = ["--data-dir", images, "--image-size", size] if dataset == "folder" else ["--train-images", 64]
        out = work / f"{backbone}_{dataset}"
        settings = ["--dataset", dataset, "--backbone", backbone, "--data-size", 16, "--epochs", 1, "--no-tui", "--out", out]
        qare(program, "pretrain", *settings, *flags)
        compared.append((f"{backbone} trained on {dataset}", next(out.iterdir()), [], []))
    torchvision_file = work / "torchvision.pth"
    write_torchvision_weights(torchvision_file)
    stated = ["--trained-on", "folder", "--image-size", 96]
    compared.append(("resnet18 of torchvision", torchvision_file, stated, stated))

    torch.set_num_threads(1)
    failed = False
    for number, (name, checkpoint, export_flags, embed_flags) in enumerate(compared):
        exported = work / f"{number}.safetensors"
        qare(program, "export", "--checkpoint", checkpoint, "--output", exported, *export_flags)
        network, preprocess = load(exported)
        expected = embed(program, checkpoint, images, work / f"{number}.features.safetensors", *embed_flags)
        assert len(expected) == count, f"{len(expected)} of {count} images were embedded"
        worst, image = difference(expected, images, network, preprocess)
        failed |= not worst <= BOUND
        print(f"{name}: {count} images of {preprocess.size}×{preprocess.size}, worst difference {worst:.1e} ({image})")

    # `load` refuses a file that does not say how images are prepared, unless the call does.
    bare = work / "bare.safetensors"
    qare(program, "export", "--checkpoint", torchvision_file, "--output", bare)
    try:
        load(bare)
        sys.exit(f"{bare} was loaded although it does not say how its images are prepared")
    except ValueError as error:
        print(f"refused as expected: {error}")
    network, given = load(bare, size=96, mean=preprocess.mean, std=preprocess.std)
    assert difference(expected, images, network, given)[0] == worst
    if failed:
        sys.exit(f"features differ by more than {BOUND:g}")


if __name__ == "__main__":
    main()
