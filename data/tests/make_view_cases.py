"""Writes golden/view_cases.json: what torchvision makes of the images below with fixed choices.

Made with torchvision 0.29.2 and Pillow 13.0.0: python make_view_cases.py
`pixels_md5` is of the 8-bit pixels before normalisation, planar. Of the finished view, `zeros_md5` is of a byte for every
value, 1 where the value is 0, and `values` are every STEP-th one.
"""

import hashlib
import json
import pathlib
import random

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import functional as F
from torchvision.transforms import InterpolationMode, RandomAffine, RandomErasing

STEP = 211
NORMALIZATIONS = {
    32: ([0.491, 0.482, 0.447], [0.247, 0.243, 0.262]),
    33: ([0.507, 0.487, 0.441], [0.267, 0.256, 0.276]),
    64: ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25]),
    96: ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
}


def image(side, seed):
    """Noise that every language can repeat: an integer hash of the place, [3, side, side]."""
    places = np.arange(3 * side * side, dtype=np.uint64)
    value = (places + 1000003 * seed) * 2654435761 % 2**32
    value = (value ^ (value >> 15)) * 2246822519 % 2**32
    return (value >> 24).astype(np.uint8).reshape(3, side, side)


def finish(case, picture):
    """Everything after the 8-bit stage."""
    pixels = np.asarray(picture).transpose(2, 0, 1).tobytes()
    mean, std = NORMALIZATIONS[case["side"]]
    view = F.normalize(F.to_tensor(picture), mean, std)
    if case.get("erased"):
        square = case["erased"]
        view = F.erase(view, square["top"], square["left"], square["side"], square["side"], torch.zeros(1))
    values = [float(str(np.float32(value))) for value in view.flatten()[::STEP].tolist()]
    zeros = (view == 0).numpy().astype(np.uint8).tobytes()
    digests = {"pixels_md5": hashlib.md5(pixels).hexdigest(), "zeros_md5": hashlib.md5(zeros).hexdigest()}
    return case | {"mean": mean, "std": std} | digests | {"values": values}


def crop_case(side, seed):
    padding = side // 8
    corners = [(0, 0), (2 * padding, 2 * padding)]
    inside = (random.randint(0, 2 * padding), random.randint(0, 2 * padding))
    top, left = corners[seed] if seed < len(corners) else inside
    case = {"side": side, "seed": seed, "flip": random.random() < 0.5}
    case["crop"] = {"top": top, "left": left, "padding": padding}
    picture = F.pad(Image.fromarray(image(side, seed).transpose(1, 2, 0)), padding)
    picture = F.crop(picture, top, left, side, side)
    return finish(case, F.hflip(picture) if case["flip"] else picture)


def affine_case(side, seed, share):
    case = {"side": side, "seed": seed, "flip": random.random() < 0.5}
    picture = Image.fromarray(image(side, seed).transpose(1, 2, 0))
    picture = F.hflip(picture) if case["flip"] else picture
    if seed:
        # What the random transform draws, without the rounding of its numbers to single precision.
        angle, (right, down), scale, (shear, _) = RandomAffine.get_params(
            [-18, 18], [0.1, 0.1], [0.9, 1.1], [-10, 10], [side, side]
        )
        angle, scale, shear = round(angle, 9), round(scale, 9), round(shear, 9)
        case["affine"] = {"angle": angle, "right": right, "down": down, "scale": scale, "shear": shear}
        picture = F.affine(picture, angle, [right, down], scale, [shear, 0.0], InterpolationMode.BILINEAR, 0)
    if seed % 2 == 0:
        top, left, height, width, _ = RandomErasing.get_params(
            torch.zeros(3, side, side), (share, share), (1.0, 1.0), [0.0]
        )
        assert height == width
        case["share"] = share
        case["erased"] = {"top": top, "left": left, "side": height}
    return finish(case, picture)


def resized_case(height, width, crop, side, seed):
    """The crop (top, left, height, width) of an image of any size, resized to a square as RandomResizedCrop does it."""
    places = np.arange(3 * height * width, dtype=np.uint64)
    value = (places + 1000003 * seed) * 2654435761 % 2**32
    value = (value ^ (value >> 15)) * 2246822519 % 2**32
    pixels = (value >> 24).astype(np.uint8).reshape(3, height, width)
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    picture = F.resized_crop(picture, *crop, [side, side], InterpolationMode.BILINEAR)
    digest = hashlib.md5(np.asarray(picture).transpose(2, 0, 1).tobytes()).hexdigest()
    return {"size": [height, width], "seed": seed, "crop": crop, "side": side, "pixels_md5": digest}


random.seed(1)
torch.manual_seed(1)
cases = []
for side in NORMALIZATIONS:
    cases += [crop_case(side, seed) for seed in range(4)]
    cases += [affine_case(side, seed, (0.111, 0.25, 0.0625)[seed // 2 % 3]) for seed in range(9)]
resized = []
for height, width, side in ((256, 341, 224), (341, 256, 224), (110, 146, 96), (73, 97, 64), (48, 31, 64), (90, 90, 20)):
    # Smaller and larger than the square in either direction, and the whole.
    crops = [[0, 0, height, width], [0, 0, height, width // 3], [0, 0, height // 3, width], [1, 2, height // 2, width // 2]]
    for _ in range(4):
        rows, columns = random.randint(1, height), random.randint(1, width)
        crops.append([random.randint(0, height - rows), random.randint(0, width - columns), rows, columns])
    resized += [resized_case(height, width, crop, side, seed) for seed, crop in enumerate(crops)]
note = f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}, by make_view_cases.py"
lines = ",\n".join(json.dumps(case) for case in cases)
path = pathlib.Path(__file__).parent / "golden" / "view_cases.json"
resized = ",\n".join(json.dumps(case) for case in resized)
path.write_text(f'{{"made_with": "{note}", "step": {STEP}, "cases": [\n{lines}\n], "resized": [\n{resized}\n]}}\n')
