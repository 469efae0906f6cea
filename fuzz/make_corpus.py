#!/usr/bin/env python3
"""Makes small files for the corpus of each target: make_corpus.py. Needs torch, numpy, scipy, safetensors and Pillow.

A fuzzer begins with them, and the tests of `harness` change them. A first byte chooses how a target reads the rest.
"""
import gzip
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from scipy.io import savemat

HERE = Path(__file__).parent
rng = np.random.default_rng(0)


def keep(target, name, contents, choice=None):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(contents if choice is None else bytes([choice]) + contents)


def written(save_to):
    buffer = io.BytesIO()
    save_to(buffer)
    return buffer.getvalue()


# Names of the first layer of conv4.
state = {
    "layer1.conv.weight": torch.arange(216.0).reshape(8, 3, 3, 3) / 216,
    "layer1.bn.weight": torch.ones(8),
    "layer1.bn.num_batches_tracked": torch.tensor(3),
}
keep("weights", "f32.safetensors", save(state, {"qare": "a note"}))
keep("weights", "halves.safetensors", save({"a.b": torch.ones(3, dtype=torch.half), "a.c": torch.ones(2, 2, dtype=torch.bfloat16)}))
for name, new in (("zip.pt", True), ("legacy.pt", False)):
    nested = {"backbone": state, "epoch": 3, "optimizer": {"lr": 0.1, "betas": (0.9, 0.999)}, "parts": [state["layer1.bn.weight"][::2]]}
    contents = written(lambda to: torch.save(nested, to, _use_new_zipfile_serialization=new))
    keep("weights", name, contents)
    if new:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            inner = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
        keep("pickles", "stored", inner, 0)
        keep("pickles", "deflated", inner, 1)
    else:
        # After the magic number, the version and what the system is.
        stream = io.BytesIO(contents)
        for _ in range(3):
            pickle.load(stream)
        keep("pickles", "legacy", contents[stream.tell() :], 2)
for protocol in range(6):
    keep("pickles", f"protocol_{protocol}", pickle.dumps({"a": [1, -5, 2**40, 2**80, 1.5, None, True, b"x", "é"], "b": {"c": (1, 2, 3)}}, protocol), 0)

pixels = rng.integers(0, 256, (4, 3072), dtype=np.uint8)
batch = {b"batch_label": b"training batch 1 of 5", b"labels": [6, 9, 9, 4], b"data": pixels, b"filenames": [b"a.png"] * 4}
keep("cifar", "batch", pickle.dumps({**batch, b"data": pixels[:, :32]}, 2), 0)
keep("cifar", "binary", bytes([3]) + pixels[0].tobytes(), 1)
fine = {b"fine_labels": [1, 2], b"coarse_labels": [0, 1], b"data": pixels[:2, :32]}
keep("cifar", "train", pickle.dumps(fine, 2), 2)
keep("cifar", "meta", pickle.dumps({b"fine_label_names": [b"apple"], b"coarse_label_names": [b"fish"]}, 2), 3)
keep("cifar", "binary_100", bytes([3, 4]) + pixels[0].tobytes(), 4)
keep("cifar", "names", b"apple\naquarium_fish\n", 5)

FORMATS = ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM", None, "TGA", "ICO", None, "PPM"]
picture = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
for choice, name in enumerate(FORMATS):
    if name is not None:
        gray = choice == 11
        image = picture.convert("L") if gray else picture.resize((16, 16)) if name == "ICO" else picture
        keep("images", "pgm" if gray else name.lower(), written(lambda to: image.save(to, name)), choice)
keep("images", "png_palette", written(lambda to: picture.convert("P").save(to, "PNG")), 1)
keep("images", "png_gray_alpha", written(lambda to: picture.convert("LA").save(to, "PNG")), 1)
keep("images", "jpeg_progressive", written(lambda to: picture.save(to, "JPEG", progressive=True)), 0)
keep("images", "jpeg_gray", written(lambda to: picture.convert("L").save(to, "JPEG")), 0)
keep("images", "tiff_lzw", written(lambda to: picture.save(to, "TIFF", compression="tiff_lzw")), 5)
keep("images", "webp_lossless", written(lambda to: picture.save(to, "WEBP", lossless=True)), 3)
# Two pixels each: a header, an RGB chunk and a run; a header and 16-bit channels.
keep("images", "qoi", b"qoif" + bytes([0, 0, 0, 2, 0, 0, 0, 1, 3, 0, 0xFE, 9, 8, 7, 0xC0]) + bytes(7) + b"\1", 7)
keep("images", "farbfeld", b"farbfeld" + bytes([0, 0, 0, 2, 0, 0, 0, 1]) + bytes(range(16)), 10)


def tar(to):
    with tarfile.open(fileobj=to, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, contents in (("toy/a.txt", b"hello"), ("toy/deep/b.bin", bytes(300)), ("toy/" + "long" * 30, b"x")):
            entry = tarfile.TarInfo(name)
            entry.size = len(contents)
            archive.addfile(entry, io.BytesIO(contents))
        folder = tarfile.TarInfo("toy/empty")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)


def zipped(to):
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy/a.txt", "hello")
        archive.writestr("toy/deep/b.bin", bytes(300))
        archive.writestr("toy/empty/", b"")


plain = written(tar)
keep("archives", "zip", written(zipped), 0)
keep("archives", "tar_gz", gzip.compress(plain, mtime=0), 1)
# Without most of the zeros in the end.
keep("archives", "tar", plain.rstrip(b"\0") + bytes(2048), 2)

structs = np.zeros((1, 2), dtype=[("fname", "O"), ("class", "O")])
structs[0, 0], structs[0, 1] = ("1.jpg", np.uint8(1)), ("é.jpg", 2.5)
variables = {"annotations": structs, "names": np.array(["a", "b"], dtype=object), "rows": np.arange(6, dtype=np.int16).reshape(2, 3)}
for compressed in (False, True):
    contents = written(lambda to: savemat(to, variables, do_compression=compressed))
    # The text of a header says when and where the file was written.
    keep("matfiles", "compressed" if compressed else "plain", b"MATLAB 5.0 MAT-file".ljust(116) + contents[116:])

keep("recipes", "small", b'dataset = "shapes"\nepochs = 2\n[probe]\nepochs = 2\n')
keep("recipes", "all", b'''dataset = "cifar10"\nmethod = "sparseclr_qare"\nbackbone = "resnet32"\nseed = 3\ndata_size = 64\nviews = 2
epochs = 10\nalpha = 1.0\nbeta = 5e-1\ntemperature = 0.5\nmargin = 1\nsimilarity_floor = "none"\naggregation = "cat"\nclusters = 7
learning_rate = 1e-3\nmomentum = 0.9\noutter_fs = 64\nprecision = "bf16"\nnum_workers = 2\naugment_on = "device"\ndevice = "cpu"\nlocal_batch_norm = true
image_size = 32\ntrain_images = 100\ntest_images = 10\ncheckpoint = "a/b.pt"\ndata_dir = "~/data"\nskip_broken = true
max_pixels = 1000\nout = "./runs"\nid = "one"\ncompare_untrained = true\n[infomax]\nlocal = 1.0\nglobal = 0.5\nprior = 0.1
[knn]\nneighbours = 20\ntemperature = 0.1\nheld_out = 5\nbank = 6\n[probe]\nseed = 4\nepochs = 3\nbatch_size = 8
learning_rate = 0.01\ndataset = "cifar100"\nfinetune = true\naugment = true\n''')
keep("recipes", "itself", b'base = "mine.toml"\nepochs = 2\ngpus = [0, 1]\nmethod = "my_own-method"\n')
