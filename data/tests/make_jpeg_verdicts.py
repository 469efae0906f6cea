#!/usr/bin/env python3
"""Damages the files in jpeg/ and writes which of them Pillow reads all the same, into jpeg_verdicts/.

A verdict is a digit: 1 if Pillow reads the file. `src/decoding/jpeg/check/tests.rs` does the same damage."""

import io
import pathlib
import warnings

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "jpeg_verdicts"
PIECE = 1 << 16


def read(file):
    try:
        Image.open(io.BytesIO(file)).convert("RGB")
    except Exception:
        return False
    return True


def shortened(file):
    """The last bytes are missing."""
    return [file[: len(file) - missing] for missing in range(8)]


def continued(file):
    """Other bytes take the place of the end marker."""
    return [file[:-2] + b"U" * count for count in range(16)]


def in_two_pieces(file):
    """Other bytes take the place of the end marker, and a comment moves the end of the first 64 KiB to somewhere near it."""
    files = []
    for step in range(90):
        length = PIECE - (len(file) - 1 - 3 * step) - 2
        comment = b"\xff\xfe" + length.to_bytes(2, "big") + bytes(length - 2)
        files.append(file[:2] + comment + file[2:-2] + b"U" * (step % 9))
    return files


def changed(file):
    """One byte is another one."""
    files = []
    for step in range(500):
        place = 2 + step * 7919 % (len(file) - 2)
        files.append(file[:place] + bytes([(step * 31 + 7) % 256]) + file[place + 1 :])
    return files


def marked(file):
    """There is a marker that does not belong there."""
    files = []
    for step in range(200):
        place = 2 + step * 7919 % (len(file) - 2)
        files.append(file[:place] + bytes([0xFF, (step * 13 + 1) % 255]) + file[place + 2 :])
    return files


def main():
    warnings.simplefilter("ignore")
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Large enough for the faster entropy decoder of libjpeg-turbo.
    noise = np.random.default_rng(1).normal(128, 40, (64, 64)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).save(FOLDER / "large.jpg", quality=90)
    files = sorted((HERE / "jpeg").glob("*.jpg")) + [FOLDER / "large.jpg"]
    with open(FOLDER / "verdicts.txt", "w") as verdicts:
        for name in files:
            for damage in (shortened, continued, in_two_pieces, changed, marked):
                digits = "".join(str(int(read(file))) for file in damage(name.read_bytes()))
                verdicts.write(f"{name.stem} {damage.__name__} {digits}\n")


if __name__ == "__main__":
    main()
