#!/usr/bin/env python3
"""Makes the golden values of this folder again, from the formulas, and compares: make_golden.py [GOLDEN_DIR]

Needs torch, numpy and safetensors (CPU builds do). The embeddings and similarities of each file are the input; its loss and its
gradients are computed here in f64 by PyTorch's autograd, in loops over rows, with nothing of the crate. Ends with 1 if one
differs by more than its tolerance, relative to its norm.
"""
import sys
from pathlib import Path

import torch
from safetensors import safe_open

# Similarities are those that the values were made of. Embeddings are kept in f32 and were f64 when the values were made: a rounding
# of 6e-8 in each entry, of which clustered views make a few times as much in the gradient.
TOLERANCES = {"loss": 1e-8, "grad": 1e-6, "qare": 1e-12, "grad_s1": 1e-12, "grad_s2": 1e-12}


def cosine(z):
    """s_ij = z_i·z_j / max(‖z_i‖‖z_j‖, 1e-8)"""
    norms = z.norm(dim=1)
    return z @ z.T / (norms[:, None] * norms[None, :]).clamp_min(1e-8)


def floored(z):
    """s_ij = max(ẑ_i·ẑ_j, 1e-8) of ẑ = z / max(‖z‖, 1e-12); no gradient where the floor is active"""
    unit = z / z.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return (unit @ unit.T).clamp_min(1e-8)


def nt_xent(s, temperature):
    """−log of the mean over rows of exp(s_ii⁺/t) / (Σ_j exp(s_ij/t) − exp(1/t))"""
    probabilities = []
    for i in range(len(s)):
        denominator = (s[i] / temperature).exp().sum() - torch.tensor(1 / temperature, dtype=s.dtype).exp()
        probabilities.append((s[i, i ^ 1] / temperature).exp() / denominator)
    return -torch.stack(probabilities).mean().log()


def support(n):
    """The support of sparsemax(n), by sorting (Martins and Astudillo 2016, algorithm 1)."""
    order = n.detach().sort(descending=True)
    sums = order.values.cumsum(0)
    counts = torch.arange(1, len(n) + 1, dtype=n.dtype)
    return order.indices[: int((1 + counts * order.values > sums).sum())]


def sparse_clr(s, margin):
    """The mean over rows of ½ Σ_S (n² − τ²) − p + ½, with the positive shifted by the margin and S held constant."""
    losses = []
    for i in range(len(s)):
        others = [j for j in range(len(s)) if j != i]
        shift = torch.tensor([margin if j == i ^ 1 else 0.0 for j in others], dtype=s.dtype)
        positive, n = s[i, i ^ 1] - margin, s[i, others] - shift
        n = n[support(n)]
        tau = (n.sum() - 1) / len(n)
        losses.append(0.5 * (n**2 - tau**2).sum() - positive + 0.5)
    return torch.stack(losses).mean()


def set_term(s1, s2):
    """⟨λ(1 + s_1), λ(1 + s_2)⟩ / (B(B − 1)), eigenvalues in ascending order"""
    size = len(s1)
    spectra = [torch.linalg.eigvalsh(1 + s) for s in (s1, s2)]
    return spectra[0] @ spectra[1] / (size * (size - 1))


def loss(file, text):
    """Value and gradient of a loss of embeddings."""
    z = file.get_tensor("embeddings").double().requires_grad_()
    method, similarity = text["method"], cosine
    if method.endswith("_qare"):
        similarity = floored
    if method.startswith("simclr"):
        value = nt_xent(similarity(z), float(text["temperature"]))
    else:
        value = sparse_clr(similarity(z), float(text["margin"]))
    if method.endswith("_qare"):
        # Rows 2i and 2i + 1 are views of image i.
        value = float(text["alpha"]) * value + float(text["beta"]) * set_term(floored(z[0::2]), floored(z[1::2]))
    value.backward()
    return {"loss": value, "grad": z.grad}


def qare(file, _):
    """Value and gradients of the set term of similarities."""
    s1, s2 = (file.get_tensor(name).double().requires_grad_() for name in ("s1", "s2"))
    value = set_term(s1, s2)
    value.backward()
    # eigvalsh reads one triangle: the gradient is that of symmetric matrices.
    return {"qare": value, "grad_s1": s1.grad, "grad_s2": s2.grad}


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "golden"
    paths = sorted(path for kind in ("loss", "qare") for path in folder.glob(f"{kind}_*.safetensors"))
    differs = not paths
    for path in paths:
        with safe_open(path, "pt") as file:
            text = file.metadata()
            made = {"loss": loss, "qare": qare}[text["kind"]](file, text)
            errors = {}
            for name, value in made.items():
                committed = file.get_tensor(name).double()
                # Where a gradient is exactly zero, the committed one is rounding.
                scale = max(committed.norm().item(), 1e-6)
                errors[name] = ((value.detach().reshape(committed.shape) - committed).norm() / scale).item()
        wrong = any(not error <= TOLERANCES[name] for name, error in errors.items())
        differs |= wrong
        print(path.name, *(f"{name} {error:.1e}" for name, error in errors.items()), "DIFFERS" if wrong else "")
    sys.exit(differs)


main()
