#!/usr/bin/env python3
"""Writes small JPEG files and the pixels that Pillow (libjpeg-turbo) decodes them to, into jpeg/."""

import pathlib

import numpy as np
from PIL import Image

FOLDER = pathlib.Path(__file__).parent / "jpeg"


def picture(width, height):
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = [127 + 120 * np.sin(x / a + y / b) for a, b in ((3, 9), (7, 2), (5, -4))]
    noise = np.random.default_rng(1).normal(0, 20, (height, width, 3))
    return Image.fromarray((np.stack(waves, -1) + noise).clip(0, 255).astype(np.uint8))


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    image = picture(37, 29)
    cases = {
        "halved": (image, {"subsampling": 2}),
        "halved_across": (image, {"subsampling": 1}),
        "whole": (image, {"subsampling": 0}),
        "progressive": (image, {"progressive": True}),
        "gray": (image.convert("L"), {}),
        "cmyk": (image.convert("CMYK"), {}),
        "restarts": (image, {"restart_marker_blocks": 2}),
    }
    for name, (image, options) in cases.items():
        file = FOLDER / f"{name}.jpg"
        image.save(file, quality=80, **options)
        with Image.open(file) as decoded:
            (FOLDER / f"{name}.rgb").write_bytes(decoded.convert("RGB").tobytes())


if __name__ == "__main__":
    main()
