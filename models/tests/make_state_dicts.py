#!/usr/bin/env python3
"""Makes weights files as people have them, with the features that PyTorch computes: make_state_dicts.py OUTDIR

Needs torch, torchvision, timm, lightly and safetensors (CPU builds do). `cargo test -p qare-models state_dicts` compares
with them when QARE_STATE_DICTS names OUTDIR. Each NAME.{pth,ckpt,tar,safetensors} has a line in expected.json: the
backbone, and the features of the one image in image.safetensors; or a text that the refusal has to hold.
"""
import json
import os
import sys

import torch
import torchvision
from safetensors.torch import save_file

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
torch.manual_seed(0)
expected = {}
image = torch.randn(2, 3, 64, 64)
save_file({"image": image}, f"{out}/image.safetensors")


def stirred(net, like=None):
    """The network with running statistics and scales that are not the initial ones."""
    net.train()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.2, 0.2)
        for _ in range(2):
            net(torch.randn(4, 3, 64, 64))
    return net.eval()


def features(net):
    """After the global pooling."""
    fc, net.fc = net.fc, torch.nn.Identity()
    with torch.no_grad():
        values = net(image)
    net.fc = fc
    return values


def kept(name, saved, backbone, net, taken="", **options):
    path = f"{out}/{name}"
    save_file(saved, path) if name.endswith(".safetensors") else torch.save(saved, path, **options)
    expected[name] = {"backbone": backbone, "prefix": taken, "features": features(net).flatten().tolist()}


def refused(name, saved, *words):
    torch.save(saved, f"{out}/{name}")
    expected[name] = {"refused": words}


def under(prefix, state):
    return {f"{prefix}.{name}": value for name, value in state.items()}


def bare(net):
    return {name: value for name, value in net.state_dict().items() if not name.startswith("fc.")}


def optimizer(net):
    made = torch.optim.Adam(net.parameters())
    net.train()(image).sum().backward()
    made.step()
    net.eval()
    return made.state_dict()


net18 = stirred(torchvision.models.resnet18())
net34 = stirred(torchvision.models.resnet34())
other = stirred(torchvision.models.resnet18())
head = {"0.weight": torch.randn(8, 512), "0.bias": torch.randn(8), "2.weight": torch.randn(4, 8)}

kept("torchvision_resnet18.pth", net18.state_dict(), "resnet18", net18)
kept("torchvision_resnet34.pth", net34.state_dict(), "resnet34", net34)
kept("legacy_resnet18.pth", net18.state_dict(), "resnet18", net18, _use_new_zipfile_serialization=False)
kept("protocol5.pth", net18.state_dict(), "resnet18", net18, pickle_protocol=5)
kept("no_counters.pth", {k: v for k, v in bare(net18).items() if "num_batches" not in k}, "resnet18", net18)
kept("bare.safetensors", bare(net18), "resnet18", net18)
for kind in [torch.float64, torch.float16, torch.bfloat16]:
    state = {k: v.to(kind) if v.is_floating_point() else v for k, v in net18.state_dict().items()}
    rounded = torchvision.models.resnet18()
    rounded.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    kind = str(kind).split(".")[1]
    kept(f"{kind}.pth", state, "resnet18", rounded.eval())
    kept(f"{kind}.safetensors", state, "resnet18", rounded.eval())

parallel = torch.nn.DataParallel(net18)
kept("data_parallel.pth", {"state_dict": parallel.state_dict(), "epoch": 3}, "resnet18", net18, "state_dict")
compiled = torch.compile(net34)
kept("compiled.safetensors", compiled.state_dict(), "resnet34", net34, "_orig_mod")
kept("compiled.pth", compiled.state_dict(), "resnet34", net34)


class Contrast(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.head = torch.nn.Sequential(torch.nn.Linear(512, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8))


contrast = Contrast(torch.nn.DataParallel(net18))
saved = {"opt": {"lr": 0.1}, "model": contrast.state_dict(), "optimizer": optimizer(other), "epoch": 1}
kept("supcontrast.pth", saved, "resnet18", net18, "model.encoder.module")

moco = under("module.encoder_q", net18.state_dict()) | under("module.encoder_k", other.state_dict())
moco |= {"module.queue": torch.randn(128, 64), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
saved = {"epoch": 200, "arch": "resnet18", "state_dict": moco, "optimizer": optimizer(other)}
kept("moco.pth.tar", saved, "resnet18", net18, "state_dict.encoder_q")
kept("moco_legacy.pth.tar", saved, "resnet18", net18, "state_dict.encoder_q", _use_new_zipfile_serialization=False)
kept("moco.safetensors", {k: v.contiguous() for k, v in moco.items()}, "resnet18", net18, "module.encoder_q")
simsiam = under("module.encoder", net18.state_dict()) | under("module.predictor", head)
kept("simsiam.pth.tar", {"state_dict": simsiam, "optimizer": optimizer(other)}, "resnet18", net18, "state_dict.encoder")
solo = under("backbone", bare(net18)) | under("momentum_backbone", bare(other)) | under("projector", head)
solo |= under("classifier", {"weight": torch.randn(10, 512), "bias": torch.randn(10)})
kept("solo_imagenet.ckpt", {"state_dict": solo, "optimizer_states": [optimizer(other)], "epoch": 9}, "resnet18", net18, "state_dict.backbone")
dino = {"student": under("module.backbone", net18.state_dict()) | under("module.head.mlp", head),
        "teacher": under("backbone", other.state_dict()), "optimizer": optimizer(other)}
kept("dino.pth", dino, "resnet18", net18, "student.backbone")
byol = under("online_encoder.net", net34.state_dict()) | under("target_encoder.net", stirred(torchvision.models.resnet34()).state_dict())
kept("byol.pth", byol, "resnet34", net34, "online_encoder.net")
kept("ema.pth", {"state_dict_ema": other.state_dict(), "state_dict": net18.state_dict()}, "resnet18", net18, "state_dict")
kept("only_teacher.pth", {"teacher": under("backbone", net18.state_dict())}, "resnet18", net18, "teacher.backbone")
kept("list.pth", [{"epoch": 1}, (net18.state_dict(), 3)], "resnet18", net18, "1.0")
kept("nested.pth", {"a": {"b": {"c": under("d.e", net18.state_dict())}}}, "resnet18", net18, "a.b.c.d.e")
sequential = torch.nn.Sequential(*list(net18.children())[:-1])
kept("sequential.pth", sequential.state_dict(), "resnet18", net18)
whole = torch.nn.Sequential(*net34.children())
kept("sequential_whole.safetensors", under("f", whole.state_dict()), "resnet34", net34, "f")
stem = torch.nn.Sequential(*list(net18.children())[:4])
nested = torch.nn.Sequential(stem, *list(net18.children())[4:8])
kept("sequential_nested.pth", nested.state_dict(), "resnet18", net18)
flat = torch.cat([value.flatten() for value in net18.state_dict().values() if value.is_floating_point()])
views, at = {}, 0
for name, value in net18.state_dict().items():
    if value.is_floating_point():
        views[name] = flat[at : at + value.numel()].view(value.shape)
        at += value.numel()
kept("one_storage.pth", views, "resnet18", net18)
last = {k: v.to(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in net18.state_dict().items()}
kept("channels_last.pth", last, "resnet18", net18)
parameters = dict(net18.named_parameters()) | dict(net18.named_buffers())
kept("parameters.pth", parameters, "resnet18", net18)

import timm

for name in ["resnet18", "resnet34", "resnet50"]:
    made = stirred(timm.create_model(name, pretrained=False))
    kept(f"timm_{name}.pth", made.state_dict(), name, made)
    kept(f"timm_{name}.safetensors", made.state_dict(), name, made)

import lightly.models.modules as modules


class Lightly(torch.nn.Module):
    """As in its examples of SimCLR and MoCo."""

    def __init__(self, net):
        super().__init__()
        self.backbone = torch.nn.Sequential(*list(net.children())[:-1])
        self.projection_head = modules.MoCoProjectionHead(512, 512, 128)
        import copy

        self.backbone_momentum = copy.deepcopy(self.backbone)
        self.projection_head_momentum = copy.deepcopy(self.projection_head)


made = Lightly(net18)
for value in made.backbone_momentum.parameters():
    value.data += 1
kept("lightly.ckpt", {"state_dict": made.state_dict(), "pytorch-lightning_version": "2.0"}, "resnet18", net18, "state_dict.backbone")

net50 = stirred(torchvision.models.resnet50())
kept("torchvision_resnet50.pth", net50.state_dict(), "resnet50", net50)
kept("resnet50_moco.pth.tar", {"state_dict": under("module.encoder_q", net50.state_dict())}, "resnet50", net50, "state_dict.encoder_q")
refused("resnet101.pth", torchvision.models.resnet101().state_dict(), "nearest is resnet50")
refused("wide.pth", torchvision.models.wide_resnet50_2().state_dict(), "nearest is resnet50")
small = torchvision.models.resnet18()
small.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
refused("solo_cifar.ckpt", {"state_dict": under("backbone", {k: v for k, v in small.state_dict().items() if "fc." not in k}) | under("classifier", head)}, "nearest is resnet18 under `state_dict.backbone`", "conv1.weight` is [64, 3, 3, 3], expected [64, 3, 7, 7]", "small images")
from lightly.models import ResNetGenerator

generated = torch.nn.Sequential(*list(ResNetGenerator("resnet-18").children())[:-1], torch.nn.AdaptiveAvgPool2d(1))
refused("lightly_cifar.ckpt", {"state_dict": under("backbone", generated.state_dict())}, "nearest is resnet18", "backbone.0.weight` is [64, 3, 3, 3]")
gray = torchvision.models.resnet18()
gray.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
refused("gray.pth", gray.state_dict(), "nearest is resnet18", "[64, 1, 7, 7], expected [64, 3, 7, 7]")
refused("deep_stem.pth", timm.create_model("resnet18d").state_dict(), "nearest is resnet18", "conv1")
refused("vit.pth", torchvision.models.vit_b_32().state_dict(), "near")
refused("cut.pth", {k: v for k, v in net34.state_dict().items() if not k.startswith("layer4.2")}, "nearest is resnet34", "layer4.2.conv1.weight` [512, 512, 3, 3] is missing")
broken = {k: v.clone() for k, v in net18.state_dict().items()}
broken["layer3.1.bn2.running_var"][7] = float("nan")
refused("nan.pth", broken, "layer3.1.bn2.running_var", "NaN")
refused("huge_double.pth", {k: v.double() * 1e300 if v.dim() == 4 else v for k, v in net18.state_dict().items()}, "conv1.weight", "infinity")
refused("quantized.pth", {k: (v * 127).to(torch.int8) if v.dim() == 4 else v for k, v in net18.state_dict().items()}, "nearest is resnet18", "int8")
refused("model.pth", net18, "state_dict()")
torch.jit.script(net18).save(f"{out}/script.pt")
expected["script.pt"] = {"refused": ["state_dict()"]}

with open(f"{out}/expected.json", "w") as file:
    json.dump(expected, file)
