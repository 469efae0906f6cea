"""Runs the programs in the READMEs of exports, and compares their results with those of `qare embed` and `qare test`.

    cargo build --release
    python models/python/check_readmes.py [--program target/release/qare] [--without-torch] [--keep DIR]

It trains small runs of every kind, exports them to every format, and runs the Python of each README as it stands, on an image of every size.
It also checks each ONNX model with `onnx.checker`. It needs onnx, onnxruntime, numpy, Pillow and safetensors, and, for the exports to PyTorch,
torch and torchvision. It takes half a minute, and prints the largest difference of each export.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from safetensors import safe_open

from program import embed, qare

# Largest difference of a feature or score.
BOUND = 1e-4

SIZES = [(32, 32), (640, 480), (375, 500), (33, 47), (47, 33), (20, 24), (40, 700), (700, 39), (1001, 999), (9, 8)]


def draw(folder):
    """Noise at several scales, as two classes of a training and a test split."""
    generator = np.random.default_rng(1)
    for number, (width, height) in enumerate(SIZES * 2):
        place = folder / ("train" if number < len(SIZES) else "test") / ("one", "two")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        values = generator.normal(0, 25, (height, width, 3)) + 120
        for scale in (2, 5):
            noise = Image.fromarray(generator.integers(0, 256, (scale, scale, 3), np.uint8))
            values += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float) - 128
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(place / f"{number}.png")


def run_readme(folder, image):
    """Runs the Python of a README in its folder, with an image in place of `photo.jpg`. Returns its variables."""
    readme = (folder / "README.md").read_text()
    program = "\n".join(re.findall(r"```python\n(.*?)```", readme, re.DOTALL))
    assert "photo.jpg" in program, f"{folder}: its README embeds no image"
    variables = {}
    before = os.getcwd()
    os.chdir(folder)
    exec(program.replace("photo.jpg", str(image)), variables)
    os.chdir(before)
    return variables


def check_model(file, expected):
    """Checks an ONNX model by itself: format, types, shapes, metadata and a batch of several images."""
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    for key, value in expected.items():
        assert metadata.get(key) == value, f"{file}: {key} is {metadata.get(key)!r}, expected {value!r}"
    session = onnxruntime.InferenceSession(file)
    (wanted,) = session.get_inputs()
    generator = np.random.default_rng(1)
    if wanted.type == "tensor(uint8)":
        images = generator.integers(0, 256, (3, 40, 50, 3), np.uint8)
    else:
        images = generator.normal(size=(3, 3, 40, 50)).astype(np.float32)
    whole = session.run(None, {wanted.name: images})
    for number in range(len(images)):
        alone = session.run(None, {wanted.name: images[number : number + 1]})
        for output, together, one in zip(session.get_outputs(), whole, alone, strict=True):
            assert together.shape[0] == 3 and together.shape[1] == output.shape[1], f"{file}: {output.name} is {together.shape}"
            assert np.abs(together[number] - one[0]).max() <= BOUND, f"{file}: {output.name} depends on the batch"


def compare(name, folder, images, expected):
    """Compares the outputs of a README's program with those expected, by output and file name. Returns the largest difference."""
    worst = 0.0
    for output, rows in expected.items():
        for file, row in rows.items():
            found = np.asarray(run_readme(folder, images / file)[output])
            assert found.shape == (1, len(row)), f"{name}: {output} has the shape {found.shape}, expected (1, {len(row)})"
            worst = max(worst, float(np.abs(found[0] - row).max()))
    print(f"{name}: largest difference {worst:.1e}")
    return worst <= BOUND


def scores(checkpoint, features):
    """The scores of a classifier, computed from the features and the weights in a file."""
    with safe_open(checkpoint, framework="np") as file:
        weight, bias = (file.get_tensor(f"classifier.{part}") for part in ("weight", "bias"))
    return {name: weight @ row + bias for name, row in features.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="target/release/qare", help="the built program")
    parser.add_argument("--without-torch", action="store_true", help="run the ONNX models alone")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for all files, kept at the end (default: a temporary folder)")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        work = (arguments.keep or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))).resolve()
        if not check(pathlib.Path(arguments.program).resolve(), work, not arguments.without_torch):
            sys.exit(f"results differ by more than {BOUND:g}")


def check(program, work, with_torch):
    images = work / "images"
    draw(images)
    shapes = ["--dataset", "shapes", "--train-images", 64]
    folder = ["--dataset", "folder", "--data-dir", images, "--image-size"]
    runs = [
        ("conv4", "sparseclr_qare", shapes),
        ("resnet8", "standard", shapes),
        ("resnet20", "triplet", [*folder, 32]),
        ("resnet18", "simclr", [*folder, 64]),
        ("resnet50", "simclr", [*folder, 64]),
    ]
    good = True
    for backbone, method, flags in runs:
        out = work / f"{backbone}_{method}"
        settings = ["--method", method, "--backbone", backbone, "--batch-size", 8, "--epochs", 1, "--no-tui", "--out", out]
        qare(program, "pretrain", *settings, *flags)
        (run,) = out.iterdir()
        name = f"{method}, {backbone}"
        features = embed(program, run, images, work / "features.safetensors", "--features")
        expected = {"features": features}
        if method == "triplet":
            expected["embedding"] = embed(program, run, images, work / "embedding.safetensors")
        flags, weights = [], None
        if method == "sparseclr_qare":
            # The model of the linear probe.
            qare(program, "probe", "--checkpoint", run, "--epochs", 1)
            results = json.loads((run / "results.json").read_text())
            flags, weights = ["--classifier"], run / results["probe"]["checkpoint"]
        if method == "standard":
            weights = run / json.loads((run / "latest.json").read_text())["weights"]
        if weights is not None:
            expected["logits"] = scores(weights, features)
        for preprocessing in ([], ["--preprocessing"]):
            exported = work / f"{backbone}_onnx{len(preprocessing)}"
            qare(program, "export", "--checkpoint", run, "--format", "onnx", "--output", exported, *flags, *preprocessing)
            assert sorted(os.listdir(exported)) == ["README.md", "backbone.onnx"]
            check_model(exported / "backbone.onnx", {"architecture": backbone, "method": method})
            good &= compare(f"{name}, ONNX {' '.join(preprocessing)}", exported, images, expected)
        if with_torch:
            exported = work / f"{backbone}_torch"
            qare(program, "export", "--checkpoint", run, "--format", "safetensors", "--output", exported)
            good &= compare(f"{name}, PyTorch", exported, images, {"features": features})
    return good


if __name__ == "__main__":
    main()
