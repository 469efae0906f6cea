"""The objectives in plain PyTorch, differentiated by autograd. Row i·K + k of the embeddings [K·B, D] is view k of image i."""

import torch
from torch.nn import functional as F

TEMPERATURE = 0.5
MARGIN = 1.0


def cosine(z):
    norms = z.norm(dim=1, keepdim=True)
    return (z @ z.T) / (norms * norms.T).clamp_min(1e-8)


def floored_cosine(z):
    z = F.normalize(z, dim=-1, eps=1e-12)
    return (z @ z.mT).clamp_min(1e-8)


def other_views(rows, views, device):
    """Boolean matrix [N, N]: entry (i, j) tells whether row j is another view of row i's image."""
    image = torch.arange(rows, device=device) // views
    return (image[:, None] == image[None, :]) & ~torch.eye(rows, dtype=torch.bool, device=device)


def nt_xent(similarities, views):
    rows = len(similarities)
    positive = other_views(rows, views, similarities.device)
    exponentials = (similarities / TEMPERATURE).exp()
    others = exponentials.sum(1, keepdim=True) - torch.e ** (1 / TEMPERATURE)
    return -(exponentials / others)[positive].mean().log()


def sparse_clr(similarities, views):
    rows = len(similarities)
    positive = other_views(rows, views, similarities.device)
    shifted = similarities - MARGIN * positive
    diagonal = torch.eye(rows, dtype=torch.bool, device=similarities.device)
    negatives = shifted[~diagonal].view(rows, rows - 1)
    with torch.no_grad():  # the support of sparsemax, by sorting
        ordered = negatives.sort(dim=1, descending=True).values
        ranks = torch.arange(1, rows, device=ordered.device, dtype=ordered.dtype)
        sums = ordered.cumsum(1) - 1
        size = (ordered * ranks > sums).sum(1, keepdim=True)
        support = negatives > sums.gather(1, size - 1) / size
    count = support.sum(1, keepdim=True)
    threshold = ((negatives * support).sum(1, keepdim=True) - 1) / count
    squares = ((negatives**2 - threshold**2) * support).sum(1)
    positives = shifted[positive].view(rows, views - 1).mean(1)
    return (squares / 2 - positives + 0.5).mean()


def set_term(z, views, similarity=floored_cosine):
    """QARe: the mean over pairs of view sets of ⟨λ(S_k), λ(S_l)⟩ / (B(B−1)), with S_k = 1 + floored cosine similarities."""
    images = len(z) // views
    sets = z.view(images, views, -1).transpose(0, 1)
    eigenvalues = torch.linalg.eigh(1 + similarity(sets)).eigenvalues  # [K, B], ascending
    total = eigenvalues.sum(0)
    pairs = ((total**2).sum() - (eigenvalues**2).sum()) / 2
    return pairs / (views * (views - 1) / 2) / (images * (images - 1))


def set_term_without_floor(z, views):
    return set_term(z, views, lambda sets: (unit := F.normalize(sets, dim=-1, eps=1e-12)) @ unit.mT)


def product_of_norms(matrices, images):
    """The mean over pairs of K matrices of the products of their Frobenius norms, divided by B(B−1)."""
    views = len(matrices)
    norms = matrices.flatten(1).norm(dim=1)  # [K]
    pairs = (norms.sum() ** 2 - (norms**2).sum()) / 2
    return pairs / (views * (views - 1) / 2) / (images * (images - 1))


def frobenius_term(z, views, similarity=floored_cosine):
    """The mean over pairs of view sets of ‖S_k‖_F ‖S_l‖_F / (B(B−1))."""
    images = len(z) // views
    sets = z.view(images, views, -1).transpose(0, 1)
    return product_of_norms(1 + similarity(sets), images)


def centred_term(z, views):
    """The same of J S J, with J = I − 11ᵀ/B."""
    images = len(z) // views
    matrices = floored_cosine(z.view(images, views, -1).transpose(0, 1))
    rows = matrices - matrices.mean(1, keepdim=True)
    return product_of_norms(rows - rows.mean(2, keepdim=True), images)


def centred_term_without_floor(z, views):
    """Without a floor, J S J = (JẐ)(JẐ)ᵀ."""
    images = len(z) // views
    unit = F.normalize(z.view(images, views, -1).transpose(0, 1), dim=-1, eps=1e-12)  # [K, B, D]
    factors = unit - unit.mean(1, keepdim=True)
    return product_of_norms(factors.mT @ factors, images)


def frobenius_term_without_floor(z, views):
    """The same without a floor: S = F Fᵀ with F = [1, Ẑ], so ‖S‖_F = ‖FᵀF‖_F, whose cost is linear in B."""
    images = len(z) // views
    unit = F.normalize(z.view(images, views, -1).transpose(0, 1), dim=-1, eps=1e-12)  # [K, B, D]
    factors = torch.cat([torch.ones_like(unit[..., :1]), unit], dim=-1)
    return product_of_norms(factors.mT @ factors, images)


def objective(method):
    """Returns the loss of a method, with the set term after its name, as a function of embeddings and number of views, with α = β = 1."""
    pairwise = nt_xent if method.startswith("simclr") else sparse_clr
    if method.endswith("_qare_frobenius"):
        return lambda z, views: pairwise(floored_cosine(z), views) + frobenius_term(z, views)
    if method.endswith("_qare_centred"):
        return lambda z, views: pairwise(floored_cosine(z), views) + centred_term(z, views)
    if method.endswith("_qare"):
        return lambda z, views: pairwise(floored_cosine(z), views) + set_term(z, views)
    return lambda z, views: pairwise(cosine(z), views)


METHODS = ["simclr", "simclr_qare", "sparseclr", "sparseclr_qare"]
