#!/usr/bin/env python3
"""Measures the work of `qare bench` in PyTorch and torchvision: python bench.py [PARTS] --json FILE

Parts: views photographs loader objectives step backbones methods probe epoch memory all. `qare bench --compare QARE.json FILE` prints the ratios.
"""

import argparse
import datetime
import os
import platform
import sys

import torch
import torchvision

from networks import BACKBONES
from parts import PARTS, Bench
from timing import Clock, Figures, OtherProcesses


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["all"], choices=[*PARTS, "all"], metavar="PARTS")
    parser.add_argument("--quick", action="store_true", help="use smaller sizes and fewer runs")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    parser.add_argument("--add", action="store_true", help="keep the figures of other parts that the file already holds")
    parser.add_argument("--least", action="store_true", help="with --add: of a time or memory that the file already holds, keep the lesser")
    parser.add_argument("--data-dir", metavar="DIR", help="folder that holds cifar-10-batches-bin")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--compile", action="store_true", help="apply torch.compile to objectives and steps")
    parser.add_argument("--channels-last", action="store_true", help="keep images and maps of steps channels last")
    parser.add_argument("--transforms", default="pil", choices=["pil", "v2"], help="views by PIL, or by torchvision's v2 on tensors")
    parser.add_argument("--methods", default=None, help="methods of the part methods")
    parser.add_argument("--sizes", default=None, help="pixels of an image's side in the parts photographs, backbones and methods, such as 32,96")
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--num-workers", type=int, default=None, help="workers of the DataLoader (default: --threads)")
    parser.add_argument("--backbones", default=None, help="backbones of the steps, such as conv4,resnet8")
    parser.add_argument("--batches", default=None, help="batch sizes of loader and steps, such as 128,256")
    parser.add_argument("--max-batch", type=int, default=None, help="largest B of the objectives")
    parser.add_argument("--max-views", type=int, default=None, help="largest K of the objectives")
    parser.add_argument("--images", type=int, default=None, help="number of images for probe, epoch and photographs")
    parser.add_argument("--photographs", metavar="DIR", help="folder in which `qare bench photographs` has made its files")
    parser.add_argument("--steps", type=int, default=None, help="number of steps of the part memory")
    parser.add_argument("--seconds", type=float, default=None, help="seconds to spend on the runs of each figure")
    chosen = parser.parse_args()
    quick = chosen.quick
    listed = lambda text: text.split(",") if text else None
    chosen.methods, chosen.chosen_backbones = listed(chosen.methods), listed(chosen.backbones)
    chosen.sizes = [int(size) for size in listed(chosen.sizes) or []]
    chosen.chosen_batches = [int(batch) for batch in listed(chosen.batches) or []]
    chosen.photographs_count = chosen.images or (500 if quick else 10000)
    defaults = {
        "num_workers": chosen.threads,
        "backbones": "conv4" if quick else "conv4,resnet8,resnet32",
        "batches": "128" if quick else "128,256",
        "max_batch": 512 if quick else 4096,
        "max_views": 8 if quick else 32,
        "images": 5000 if quick else 50000,
        "steps": 50 if quick else 500,
        "seconds": 0.3 if quick else 2.0,
    }
    for name, value in defaults.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, value)
    chosen.probe_epochs = 10 if quick else 100
    chosen.backbones = chosen.backbones.split(",")
    chosen.batches = [int(batch) for batch in chosen.batches.split(",")]
    unknown = [name for name in chosen.backbones if name not in BACKBONES]
    if unknown:
        parser.error(f"unknown backbone {unknown[0]}; expected one of {', '.join(BACKBONES)}")
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no NVIDIA GPU")
    return chosen


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def mode(chosen):
    if chosen.transforms == "v2":
        return "transforms v2"
    return "torch.compile" if chosen.compile else "channels_last" if chosen.channels_last else "eager"


def head(chosen):
    cuda = chosen.device.startswith("cuda")
    return {
        "program": f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}",
        "backend": f"{chosen.device}, {mode(chosen)}",
        "date": datetime.date.today().isoformat(),
        "machine": {
            "cpu": processor(),
            "cores": os.cpu_count(),
            "threads": chosen.threads,
            "gpu": torch.cuda.get_device_name() if cuda else None,
            "system": f"{platform.system()} {platform.machine()}".lower(),
        },
    }


def main():
    chosen = options()
    torch.set_num_threads(chosen.threads)
    synchronize = torch.cuda.synchronize if chosen.device.startswith("cuda") else lambda: None
    figures = Figures()
    compiles = chosen.compile or chosen.device.startswith("cuda")
    bench = Bench(chosen, Clock(chosen.seconds, 2 if chosen.quick else 3, synchronize, compiles), figures)
    for part in PARTS:
        if part in chosen.parts or "all" in chosen.parts:
            others = OtherProcesses()
            getattr(bench, part)()
            others.report(part, figures)
            if chosen.json:
                figures.write(chosen.json, head(chosen), chosen.add, chosen.least)


if __name__ == "__main__":
    sys.exit(main())
